#include "engine/prefix_cache.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "kv/cache_events.h"
#include "kv/page_tier.h"

namespace weir::engine {
namespace {

// The name of a root: lengths first, so that no tenant and salt together read as another pair.
Hash128 root_of(const HashKey& key, const Request& q) {
  std::string text = std::to_string(q.tenant.name.size()) + ":" + q.tenant.name;
  text += q.cache_salt;
  return keyed_hash(key, std::as_bytes(std::span(text)));
}

// Would be served no later than b, whichever way the scheduler orders equals.
bool not_behind(const Request& a, const Request& b) {
  return std::tuple(a.service_class, a.priority) <= std::tuple(b.service_class, b.priority);
}

}  // namespace

PrefixCache::PrefixCache(Runner& runner, kv::PagePool& pool, const Clock& clock,
                         const PrefixOptions& options)
    : runner_(runner),
      pool_(pool),
      clock_(clock),
      options_(options),
      encoder_(runner.embedding().encoder),
      tree_(pool, runner.page_tokens(), options.hash_key),
      snapshots_(tree_, pool, runner, clock, options_) {
  tree_.observe(this);
  if (options_.enabled && !encoder_) snapshots_.restore();
}

void PrefixCache::on_stored(const kv::CachedPage& page) {
  if (options_.events != nullptr) options_.events->on_stored(page);
}

void PrefixCache::on_evicted(const kv::CachedPage& page) {
  if (options_.tier != nullptr)
    options_.tier->put(page.hash, page.tokens, runner_.page_bytes(page.page));
  if (options_.events != nullptr) options_.events->on_evicted(page);
}

void PrefixCache::on_cleared() {
  if (options_.tier != nullptr) options_.tier->clear();
  if (options_.events != nullptr) options_.events->on_cleared();
}

void PrefixCache::tick() {
  snapshots_.tick();
  if (options_.events != nullptr) options_.events->publish(clock_.unix_s());
}

void PrefixCache::admit(Sequence& s) const {
  s.prefix_root = root_of(tree_.key(), s.request->request);
}

kv::PrefixMatch PrefixCache::find(const Sequence& s) const {
  return tree_.find(s.prefix_root, std::span<const int32_t>(s.tokens).first(s.findable()));
}

void PrefixCache::describe_start(const Sequence& s, SequenceView& view) const {
  const kv::PrefixMatch match = find(s);
  view.cached = match.tokens;
  for (const kv::NodeId node : match.nodes)
    view.cached_idle += pool_.idle(tree_.page(node)) ? 1 : 0;
  if (match.copy_from == kv::kNoNode) return;
  // While it is copied, the page takes room beside those of the sequence. One that fits only alone
  // could then never start.
  const int32_t page_tokens = tree_.page_tokens();
  const auto pages = kv::pages_for(static_cast<int32_t>(s.tokens.size()), page_tokens);
  if (pages + 1 > pool_.total_pages()) {
    view.cached -= view.cached % page_tokens;
  } else {
    view.cached_idle += pool_.idle(tree_.page(match.copy_from)) ? 1 : 0;
  }
}

// Brings one page back and refers to it once; kNoNode: it is not in the tier, or there is no room.
kv::NodeId PrefixCache::promote_page(const Hash128& root, kv::NodeId parent, const Hash128& hash,
                                     std::span<const int32_t> tokens) {
  std::vector<kv::PageId> page;
  if (!options_.tier->has(hash) || !allocate(1, page)) return kv::kNoNode;
  kv::NodeId node = kv::kNoNode;
  if (options_.tier->get(hash, tokens, runner_.page_bytes(page[0])))
    node = tree_.adopt(root, parent, tokens, page[0], clock_.now_ns());
  if (node == kv::kNoNode) {
    pool_.release(page[0]);
  } else {
    pool_.reference(page[0]);
    ++tier_hits_pages_;
  }
  return node;
}

// Once for a sequence that waits: what the tier has behind what the tree has.
void PrefixCache::promote(Sequence& s) {
  if (options_.tier == nullptr || s.tier_asked) return;
  s.tier_asked = true;
  const auto size = static_cast<size_t>(tree_.page_tokens());
  const auto wanted = std::span<const int32_t>(s.tokens).first(s.findable());
  const kv::PrefixMatch match = tree_.find(s.prefix_root, wanted);
  std::vector<kv::PageId> pinned;  // or making room for a page could evict those before it
  for (const kv::NodeId node : match.nodes) {
    pinned.push_back(tree_.page(node));
    pool_.reference(pinned.back());
  }
  kv::NodeId node = match.nodes.empty() ? kv::kNoNode : match.nodes.back();
  Hash128 hash = node == kv::kNoNode ? s.prefix_root : tree_.describe(node).hash;
  for (size_t i = pinned.size(); (i + 1) * size <= wanted.size(); ++i) {
    const auto tokens = wanted.subspan(i * size, size);
    hash = tree_.page_hash(hash, tokens);
    node = promote_page(s.prefix_root, node, hash, tokens);
    if (node == kv::kNoNode) break;
    pinned.push_back(tree_.page(node));
  }
  pool_.release_all(pinned);
}

// Somebody who computes what others may wait for.
struct PrefixLeader {
  const Sequence* sequence;
  int32_t covered_tokens;  // found or computed, in full pages
};

namespace {

// Whether `s` gains a page by waiting for what the leader still has to compute.
bool gains(const Sequence& s, const PrefixLeader& leader, int32_t page_tokens) {
  const Sequence& l = *leader.sequence;
  if (l.prefix_root != s.prefix_root || !not_behind(l.request->request, s.request->request))
    return false;
  const auto n = static_cast<ptrdiff_t>(std::min(s.findable(), l.tokens.size()));
  // The cheap way to tell what most pairs are: different from the first page on.
  const auto shared = static_cast<int32_t>(
      std::mismatch(s.tokens.begin(), s.tokens.begin() + n, l.tokens.begin()).first -
      s.tokens.begin());
  int32_t wanted = shared - shared % page_tokens;
  // The page in which they part is worth a copy, once the leader has filled it.
  if (shared > wanted && wanted + page_tokens <= static_cast<int32_t>(l.tokens.size()) - 1)
    wanted += page_tokens;
  return wanted > leader.covered_tokens;
}

}  // namespace

void PrefixCache::look_up(std::span<Sequence* const> sequences, std::span<SequenceView> views) {
  if (!options_.enabled || encoder_) return;
  const int32_t page_tokens = tree_.page_tokens();
  // All before any is described: making room for one may evict what another would find.
  for (size_t i = 0; i < sequences.size(); ++i) {
    Sequence& s = *sequences[i];
    if (takes_part(s) && !views[i].paused && s.pages.empty()) promote(s);
  }
  std::vector<PrefixLeader> leaders;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& s = *sequences[i];
    const auto missing = static_cast<int32_t>(s.tokens.size()) - s.computed;
    if (!takes_part(s) || views[i].paused || s.pages.empty() || missing == 1) continue;
    if (s.prefix.epoch != tree_.epoch()) continue;  // from before a flush: leaves nothing
    leaders.push_back({&s, s.prefix.pages * page_tokens});
  }
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& s = *sequences[i];
    if (!takes_part(s) || views[i].paused || !s.pages.empty()) continue;
    views[i].held = std::any_of(leaders.begin(), leaders.end(),
                                [&](const PrefixLeader& l) { return gains(s, l, page_tokens); });
    if (views[i].held) continue;
    describe_start(s, views[i]);
    leaders.push_back({&s, views[i].cached - views[i].cached % page_tokens});
  }
}

void PrefixCache::attach(Sequence& s, int32_t tokens) {
  if (!takes_part(s) || encoder_) return;
  s.prefix = tree_.start();
  const bool first = s.request->started_ns == 0;
  if (!s.looked_up) {
    s.looked_up = true;
    queries_tokens_ += s.prompt_tokens;
    hits_tokens_ += static_cast<uint64_t>(tokens);
    if (first) s.request->cached_tokens = tokens;
  }
  if (tokens == 0) return;
  const kv::PrefixMatch match = tree_.find(
      s.prefix_root, std::span<const int32_t>(s.tokens).first(static_cast<size_t>(tokens)));
  tree_.touch(match, clock_.now_ns());
  for (const kv::NodeId node : match.nodes) {
    pool_.reference(tree_.page(node));
    s.pages.push_back(tree_.page(node));
  }
  s.prefix = tree_.cursor(match);
  s.computed = match.tokens;
  if (match.copy_from == kv::kNoNode) return;
  s.copy_from = tree_.page(match.copy_from);
  pool_.reference(s.copy_from);
}

void PrefixCache::copy_partial(Sequence& s) {
  if (s.copy_from < 0) return;
  const auto into = static_cast<size_t>(s.computed / tree_.page_tokens());
  if (into < s.pages.size()) {
    runner_.copy_page(s.copy_from, s.pages[into]);
  } else {
    s.computed -= s.computed % tree_.page_tokens();  // it did not get the page
  }
  pool_.release(s.copy_from);
  s.copy_from = -1;
}

bool PrefixCache::allocate(int32_t count, std::vector<kv::PageId>& pages) {
  while (pool_.free_pages() < count) {
    if (!tree_.evict_one()) return false;
  }
  return pool_.allocate(count, pages);
}

void PrefixCache::committed(Sequence& s) {
  const int32_t full = s.computed / tree_.page_tokens();
  if (!takes_part(s) || encoder_ || full <= s.prefix.pages) return;
  tree_.insert(s.prefix_root,
               std::span<const int32_t>(s.tokens).first(static_cast<size_t>(s.computed)), s.pages,
               s.prefix, clock_.now_ns());
}

void PrefixCache::release(Sequence& s, bool keep) {
  if (keep && s.computed > 0 && takes_part(s) && !encoder_) {
    tree_.insert_all(s.prefix_root,
                     std::span<const int32_t>(s.tokens).first(static_cast<size_t>(s.computed)),
                     s.pages, s.prefix, clock_.now_ns());
  }
  if (s.copy_from >= 0) pool_.release(s.copy_from);
  s.copy_from = -1;
  pool_.release_all(s.pages);
  s.prefix = tree_.start();
  s.computed = 0;
  s.tier_asked = false;
}

void PrefixCache::fill(EngineStats& stats) const {
  stats.prefix_queries_tokens = queries_tokens_;
  stats.prefix_hits_tokens = hits_tokens_;
  stats.prefix_evictions = tree_.evictions();
  stats.prefix_pages = tree_.pages();
  stats.evictable_pages = pool_.idle_pages();
  stats.tier_pages = options_.tier == nullptr ? 0 : options_.tier->pages();
  stats.tier_hits_pages = tier_hits_pages_;
}

}  // namespace weir::engine
