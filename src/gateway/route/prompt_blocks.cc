#include "gateway/route/prompt_blocks.h"

#include <algorithm>
#include <bit>

namespace weir::gateway {

namespace {

// Stand before a role and before a text; no valid JSON string holds them unescaped.
constexpr std::string_view kRole = "\x1e";
constexpr std::string_view kText = "\x1f";

HashKey hash_of(const HashKey& key, std::string_view bytes) {
  const Hash128 h = keyed_hash(key, std::as_bytes(std::span(bytes)));
  return {h.low, h.high};
}

}  // namespace

size_t block_end(size_t begin, uint32_t fine_bytes) {
  return begin + std::max<size_t>(fine_bytes, std::bit_floor(begin / 8));
}

PromptBlocks::PromptBlocks(const BlockConfig& config, std::string_view tenant)
    : config_(config),
      chain_(hash_of(config.key, config.share_tenants ? std::string_view() : tenant)) {}

void PromptBlocks::add(std::string_view role, std::string_view text) {
  append(kRole);
  append(role);
  append(kText);
  append(text);
}

void PromptBlocks::append(std::string_view bytes) {
  bytes = bytes.substr(0, kMaxBytes - this->bytes());
  while (!bytes.empty()) {
    const size_t size = block_end(begin_, config_.fine_bytes) - begin_;
    const size_t need = size - partial_.size();
    if (bytes.size() < need) {
      partial_ += bytes;
      return;
    }
    if (partial_.empty()) {
      close(bytes.substr(0, need));
    } else {
      partial_ += bytes.substr(0, need);
      close(partial_);
      partial_.clear();
    }
    bytes.remove_prefix(need);
  }
}

void PromptBlocks::close(std::string_view block) {
  chain_ = hash_of(chain_, block);
  begin_ += block.size();
  const double tokens = static_cast<double>(begin_) / config_.bytes_per_token;
  blocks_.push_back({chain_.k0, static_cast<uint32_t>(tokens)});
}

}  // namespace weir::gateway
