#include "gateway/route/prefix_index.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "gateway/route/mix.h"

namespace weir::gateway {

namespace {

uint64_t pair_hash(uint32_t endpoint, uint64_t name) { return mix64(name + endpoint); }

// A number that nothing uses, of a vector that grows one by one up to what is in use.
template <typename T>
uint32_t take_slot(std::vector<T>& slots, std::vector<uint32_t>& free) {
  if (free.empty()) {
    slots.emplace_back();
    return static_cast<uint32_t>(slots.size() - 1);
  }
  const uint32_t id = free.back();
  free.pop_back();
  slots[id] = T{};
  return id;
}

}  // namespace

PrefixIndex::PrefixIndex(const PrefixIndexConfig& config)
    : config_(config),
      words_((config.endpoints + 63) / 64),
      endpoints_(config.endpoints),
      live_(words_),
      here_(words_) {
  assert(config.endpoints <= kMaxEndpoints && config.max_pairs > 0);
  // Address space; pages of it are taken when they are first written.
  pairs_.reserve(config.max_pairs);
  blocks_.reserve(config.max_pairs);
}

size_t PrefixIndex::max_bytes(const PrefixIndexConfig& config) {
  // Of each block there is a pair, of each set of bits there are kFew + 1; vectors that are not
  // reserved double.
  const size_t slot = sizeof(Pair) + sizeof(Block) + 2 * 2 * sizeof(uint32_t);
  const size_t set = (config.endpoints + 63) / 64 * sizeof(uint64_t) + sizeof(uint32_t);
  const size_t pair = slot + 2 * IdTable::kMaxBytesPerEntry + 2 * set / (kFew + 1) + 1;
  constexpr size_t kFixed = 4096;  // the first slots of each table and vector
  return config.max_pairs * pair + config.endpoints * (sizeof(Endpoint) + 1) + kFixed;
}

size_t PrefixIndex::bytes() const {
  return endpoints_.capacity() * sizeof(Endpoint) + pairs_.capacity() * sizeof(Pair) +
         blocks_.capacity() * sizeof(Block) + pair_table_.bytes() + block_table_.bytes() +
         (free_pairs_.capacity() + free_blocks_.capacity() + free_sets_.capacity()) *
             sizeof(uint32_t) +
         (bits_.capacity() + live_.capacity() + here_.capacity()) * sizeof(uint64_t);
}

void PrefixIndex::grow(uint32_t endpoints) {
  assert(endpoints >= config_.endpoints && endpoints <= kMaxEndpoints);
  config_.endpoints = endpoints;
  endpoints_.resize(endpoints);
  const size_t words = (endpoints + 63) / 64;
  if (words == words_) return;
  const size_t sets = words_ == 0 ? 0 : bits_.size() / words_;
  std::vector<uint64_t> wider(sets * words);
  for (size_t s = 0; s < sets; ++s)
    std::copy_n(bits_.begin() + static_cast<ptrdiff_t>(s * words_), words_,
                wider.begin() + static_cast<ptrdiff_t>(s * words));
  bits_ = std::move(wider);
  words_ = words;
  live_.resize(words);
  here_.resize(words);
}

void PrefixIndex::set_capacity(uint32_t endpoint, int64_t tokens) {
  endpoints_[endpoint].capacity_tokens = tokens;
  trim(endpoint);
}

void PrefixIndex::match(std::span<const PromptBlock> blocks, std::span<uint32_t> matched_tokens) {
  assert(matched_tokens.size() == endpoints_.size());
  std::fill(matched_tokens.begin(), matched_tokens.end(), 0);
  std::fill(live_.begin(), live_.end(), ~uint64_t{0});  // endpoints that had all blocks so far
  const auto set_matched = [&](size_t word, uint64_t bits, uint32_t tokens) {
    for (; bits != 0; bits &= bits - 1)
      matched_tokens[word * 64 + static_cast<size_t>(std::countr_zero(bits))] = tokens;
  };
  prefetch_blocks(blocks);
  uint32_t before = 0;
  for (const PromptBlock& b : blocks) {
    const uint32_t id = find_block(b.name);
    if (id == kNone) break;
    holders(blocks_[id], here_);
    uint64_t any = 0;
    for (size_t w = 0; w < words_; ++w) {
      if (before > 0) set_matched(w, live_[w] & ~here_[w], before);
      live_[w] &= here_[w];
      any |= live_[w];
    }
    if (any == 0) return;
    before = b.end_tokens;
  }
  if (before == 0) return;
  for (size_t w = 0; w < words_; ++w) set_matched(w, live_[w], before);
}

// Each lookup misses the processor's caches twice: those of all blocks are begun together.
void PrefixIndex::prefetch_blocks(std::span<const PromptBlock> blocks) const {
  for (const PromptBlock& b : blocks) block_table_.prefetch(b.name);
  for (const PromptBlock& b : blocks) {
    const uint32_t id = block_table_.guess(b.name);
    if (id == kNone) return;
    __builtin_prefetch(&blocks_[id]);
  }
}

void PrefixIndex::touch(uint32_t endpoint, std::span<const PromptBlock> blocks) {
  for (const PromptBlock& b : blocks) pair_table_.prefetch(pair_hash(endpoint, b.name));
  prefetch_blocks(blocks);
  for (const PromptBlock& b : blocks) {
    const uint32_t id = pair_table_.guess(pair_hash(endpoint, b.name));
    if (id != kNone) __builtin_prefetch(&pairs_[id]);
  }
  // From the end: the beginning of the prompt is the youngest and goes last.
  for (size_t i = blocks.size(); i-- > 0;) {
    const uint32_t begin = i == 0 ? 0 : blocks[i - 1].end_tokens;
    use(endpoint, blocks[i].name, blocks[i].end_tokens - begin);
  }
}

void PrefixIndex::stored(uint32_t endpoint, uint64_t name, uint32_t tokens) {
  use(endpoint, name, tokens);
}

void PrefixIndex::removed(uint32_t endpoint, uint64_t name) {
  const uint32_t pair = find_pair(endpoint, name);
  if (pair != kNone) drop(pair);
}

void PrefixIndex::cleared(uint32_t endpoint) {
  while (endpoints_[endpoint].list.oldest != kNone) drop(endpoints_[endpoint].list.oldest);
}

uint32_t PrefixIndex::find_pair(uint32_t endpoint, uint64_t name) const {
  return pair_table_.find(pair_hash(endpoint, name), [&](uint32_t id) {
    return pairs_[id].name == name && pairs_[id].endpoint == endpoint;
  });
}

uint32_t PrefixIndex::find_block(uint64_t name) const {
  return block_table_.find(name, [&](uint32_t id) { return blocks_[id].name == name; });
}

void PrefixIndex::use(uint32_t endpoint, uint64_t name, uint32_t tokens) {
  Endpoint& e = endpoints_[endpoint];
  uint32_t id = find_pair(endpoint, name);
  if (id != kNone) {
    unlink(kOwn, e.list, id);
    unlink(kAll, all_, id);
  } else {
    if (used_pairs_ == config_.max_pairs) drop(all_.oldest);
    id = take_slot(pairs_, free_pairs_);
    pairs_[id].name = name;
    pairs_[id].endpoint = endpoint;
    pairs_[id].tokens = tokens;
    pair_table_.insert(pair_hash(endpoint, name), id);
    ++used_pairs_;
    e.used_tokens += tokens;
    add_holder(name, endpoint);
  }
  link(kOwn, e.list, id);
  link(kAll, all_, id);
  trim(endpoint);
}

void PrefixIndex::trim(uint32_t endpoint) {
  Endpoint& e = endpoints_[endpoint];
  if (e.capacity_tokens == 0) return;
  while (e.used_tokens > e.capacity_tokens) drop(e.list.oldest);
}

void PrefixIndex::drop(uint32_t pair) {
  const Pair p = pairs_[pair];
  Endpoint& e = endpoints_[p.endpoint];
  unlink(kOwn, e.list, pair);
  unlink(kAll, all_, pair);
  e.used_tokens -= p.tokens;
  pair_table_.erase(pair_hash(p.endpoint, p.name), pair);
  free_pairs_.push_back(pair);
  --used_pairs_;
  remove_holder(p.name, p.endpoint);
}

void PrefixIndex::link(Which which, List& list, uint32_t pair) {
  pairs_[pair].younger[which] = kNone;
  pairs_[pair].older[which] = list.youngest;
  if (list.youngest != kNone) pairs_[list.youngest].younger[which] = pair;
  list.youngest = pair;
  if (list.oldest == kNone) list.oldest = pair;
}

void PrefixIndex::unlink(Which which, List& list, uint32_t pair) {
  const uint32_t younger = pairs_[pair].younger[which];
  const uint32_t older = pairs_[pair].older[which];
  (younger == kNone ? list.youngest : pairs_[younger].older[which]) = older;
  (older == kNone ? list.oldest : pairs_[older].younger[which]) = younger;
}

void PrefixIndex::add_holder(uint64_t name, uint32_t endpoint) {
  uint32_t id = find_block(name);
  if (id == kNone) {
    id = take_slot(blocks_, free_blocks_);
    blocks_[id].name = name;
    block_table_.insert(name, id);
  }
  Block& b = blocks_[id];
  if (b.count == kFew) {
    if (free_sets_.empty()) {
      b.many = static_cast<uint32_t>(bits_.size() / words_);
      bits_.resize(bits_.size() + words_);
    } else {
      b.many = free_sets_.back();
      free_sets_.pop_back();
    }
    std::fill_n(bits_of(b.many), words_, 0);
    for (const uint16_t e : b.few) bits_of(b.many)[e / 64] |= uint64_t{1} << (e % 64);
  }
  if (b.count >= kFew) {
    bits_of(b.many)[endpoint / 64] |= uint64_t{1} << (endpoint % 64);
  } else {
    b.few[b.count] = static_cast<uint16_t>(endpoint);
  }
  ++b.count;
}

void PrefixIndex::remove_holder(uint64_t name, uint32_t endpoint) {
  const uint32_t id = find_block(name);
  Block& b = blocks_[id];
  if (b.count > kFew) {
    uint64_t* const bits = bits_of(b.many);
    bits[endpoint / 64] &= ~(uint64_t{1} << (endpoint % 64));
    if (--b.count > kFew) return;
    size_t n = 0;
    for (size_t w = 0; w < words_; ++w) {
      for (uint64_t rest = bits[w]; rest != 0; rest &= rest - 1)
        b.few[n++] = static_cast<uint16_t>(w * 64 + static_cast<size_t>(std::countr_zero(rest)));
    }
    free_sets_.push_back(b.many);
    b.many = kNone;
    return;
  }
  --b.count;
  *std::find(b.few.begin(), b.few.end(), static_cast<uint16_t>(endpoint)) = b.few[b.count];
  if (b.count > 0) return;
  block_table_.erase(name, id);
  free_blocks_.push_back(id);
}

void PrefixIndex::holders(const Block& block, std::span<uint64_t> out) {
  if (block.count > kFew) {
    std::copy_n(bits_of(block.many), words_, out.begin());
    return;
  }
  std::fill(out.begin(), out.end(), 0);
  for (size_t i = 0; i < block.count; ++i)
    out[block.few[i] / 64] |= uint64_t{1} << (block.few[i] % 64);
}

}  // namespace weir::gateway
