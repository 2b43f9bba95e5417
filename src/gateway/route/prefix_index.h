// Which endpoint has probably which prompt prefixes in its KV cache. Approximate: it knows what was
// sent where and how much an endpoint holds, and forgets as an LRU cache of that size would. Exact
// where endpoints tell of their caches by events: stored(), removed(), cleared().
//
// One table from block name to the set of its endpoints; one LRU list for each endpoint, bounded by
// its capacity in tokens, and one over all, bounded by max_pairs (block, endpoint). A prefix is
// always younger than what follows it, so what an endpoint forgets are the ends of prompts, as in
// vLLM's and weir's caches.
//
// Time: O(blocks) for match() and touch(), times a sixty-fourth of the endpoints in match().
// Memory: max_bytes(). One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gateway/route/id_table.h"
#include "gateway/route/prompt_blocks.h"

namespace weir::gateway {

struct PrefixIndexConfig {
  uint32_t endpoints = 0;        // indexes below it; at most kMaxEndpoints
  size_t max_pairs = 1'000'000;  // some 130 MB when full; at least 1
};

class PrefixIndex {
 public:
  static constexpr uint32_t kMaxEndpoints = 65'535;

  // Precondition: the bounds of the config.
  explicit PrefixIndex(const PrefixIndexConfig& config);

  uint32_t endpoints() const { return config_.endpoints; }
  // Room for more endpoints; what is known stays. Precondition: not less than now, at most
  // kMaxEndpoints. Time: all sets of endpoints are copied.
  void grow(uint32_t endpoints);

  // How much of the endpoint's cache prompts can fill; 0 (at first): not known, only max_pairs
  // bounds it. Lowering it forgets at once.
  void set_capacity(uint32_t endpoint, int64_t tokens);

  // Tokens of the beginning of the prompt that each endpoint probably has, by index of endpoint.
  // Precondition: matched_tokens has `endpoints` elements; all are set.
  void match(std::span<const PromptBlock> blocks, std::span<uint32_t> matched_tokens);

  // A prompt was sent to the endpoint: it now has all of it, and used it last.
  void touch(uint32_t endpoint, std::span<const PromptBlock> blocks);

  // Events of the endpoint's cache. stored: the block is the youngest of the endpoint.
  void stored(uint32_t endpoint, uint64_t name, uint32_t tokens);
  void removed(uint32_t endpoint, uint64_t name);  // nothing when it was not there
  // The cache was emptied, or the endpoint is another process now.
  void cleared(uint32_t endpoint);

  size_t pairs() const { return used_pairs_; }
  int64_t used_tokens(uint32_t endpoint) const { return endpoints_[endpoint].used_tokens; }
  size_t bytes() const;
  static size_t max_bytes(const PrefixIndexConfig& config);

 private:
  static constexpr uint32_t kNone = IdTable::kNone;
  static constexpr size_t kFew = 5;

  // A node of two lists: of its endpoint and of all. `younger` and `older` by list.
  struct Pair {
    uint64_t name = 0;
    uint32_t endpoint = 0;
    uint32_t tokens = 0;
    std::array<uint32_t, 2> younger{};
    std::array<uint32_t, 2> older{};
  };
  // A block and its endpoints: up to kFew of them in `few`, more as bits of set `many`.
  struct Block {
    uint64_t name = 0;
    uint32_t many = kNone;
    uint16_t count = 0;
    std::array<uint16_t, kFew> few{};
  };
  struct List {
    uint32_t youngest = kNone;
    uint32_t oldest = kNone;
  };
  struct Endpoint {
    List list;
    int64_t capacity_tokens = 0;
    int64_t used_tokens = 0;
  };
  enum Which : size_t { kOwn = 0, kAll = 1 };

  uint32_t find_pair(uint32_t endpoint, uint64_t name) const;
  uint32_t find_block(uint64_t name) const;
  void prefetch_blocks(std::span<const PromptBlock> blocks) const;
  void use(uint32_t endpoint, uint64_t name, uint32_t tokens);  // adds or makes youngest
  void drop(uint32_t pair);
  void trim(uint32_t endpoint);

  void link(Which which, List& list, uint32_t pair);
  void unlink(Which which, List& list, uint32_t pair);

  void add_holder(uint64_t name, uint32_t endpoint);
  void remove_holder(uint64_t name, uint32_t endpoint);
  uint64_t* bits_of(uint32_t set) { return &bits_[static_cast<size_t>(set) * words_]; }
  void holders(const Block& block, std::span<uint64_t> out);

  PrefixIndexConfig config_;
  size_t words_;  // of 64 bits in a set of endpoints
  std::vector<Endpoint> endpoints_;
  std::vector<Pair> pairs_;
  std::vector<uint32_t> free_pairs_;
  IdTable pair_table_;
  size_t used_pairs_ = 0;
  List all_;
  std::vector<Block> blocks_;
  std::vector<uint32_t> free_blocks_;
  IdTable block_table_;
  std::vector<uint64_t> bits_;
  std::vector<uint32_t> free_sets_;
  std::vector<uint64_t> live_;  // scratch of match()
  std::vector<uint64_t> here_;
};

}  // namespace weir::gateway
