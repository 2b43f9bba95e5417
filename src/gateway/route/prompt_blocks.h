// A prompt as a chain of block names: two prompts of one tenant have the same first n names when
// (and, but for collisions of 64 bits, only when) they begin with the same bytes up to the end of
// block n. It is what the prefix index (prefix_index.h) looks up.
//
// The bytes are those of role and text of each message in turn, not of the JSON around them, so
// clients that order or escape the same conversation differently meet. The name of a block is the
// keyed hash of its bytes with the hash of what stands before as the key; before the first stands
// the tenant, so nobody can learn by timing what another tenant has sent, and nobody who does not
// know the key can make prompts meet.
//
// Blocks grow with their distance from the start: fine_bytes each at first, then an eighth of the
// position rounded down to a power of two. A megabyte is 80 names instead of 4,096, and of a shared
// prefix at most an eighth is not seen.
//
// Pure; one thread. Bounds: kMaxBytes are looked at, what stands behind is not named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace weir::gateway {

struct PromptBlock {
  uint64_t name = 0;        // of this block after all that stands before it
  uint32_t end_tokens = 0;  // estimate of the tokens up to its end; grows along the chain
  bool operator==(const PromptBlock&) const = default;
};

struct BlockConfig {
  HashKey key;                 // random for each process unless replicas share an index
  uint32_t fine_bytes = 256;   // of the first blocks: some 64 tokens; a power of two
  double bytes_per_token = 4;  // of the estimate; > 0. English is at 4 to 4.5, code at 3
  bool share_tenants = false;  // one chain for all: only where tenants trust each other
};

// Where the block ends that begins at `begin`, in bytes from the start of the prompt.
size_t block_end(size_t begin, uint32_t fine_bytes);

class PromptBlocks {
 public:
  static constexpr size_t kMaxBytes = size_t{1} << 20;

  PromptBlocks(const BlockConfig& config, std::string_view tenant);

  // The next message; system prompt and tools are messages with roles of their own.
  void add(std::string_view role, std::string_view text);

  // The blocks that are complete. Valid until the next add().
  std::span<const PromptBlock> blocks() const { return blocks_; }
  size_t bytes() const { return begin_ + partial_.size(); }  // seen, at most kMaxBytes

 private:
  void append(std::string_view bytes);
  void close(std::string_view block);

  const BlockConfig config_;
  HashKey chain_;  // hash of all complete blocks
  size_t begin_ = 0;
  std::string partial_;  // bytes since begin_
  std::vector<PromptBlock> blocks_;
};

}  // namespace weir::gateway
