#include "engine/prefix_cache.h"

#include <algorithm>
#include <string>
#include <tuple>

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
      tree_(pool, runner.page_tokens(), options.hash_key) {}

void PrefixCache::admit(Sequence& s) const {
  s.prefix_root = root_of(options_.hash_key, s.request->request);
}

kv::PrefixMatch PrefixCache::find(const Sequence& s) const {
  return tree_.find(s.prefix_root, std::span<const int32_t>(s.tokens).first(s.tokens.size() - 1));
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
  const auto pages = (static_cast<int32_t>(s.tokens.size()) + page_tokens - 1) / page_tokens;
  if (pages + 1 > pool_.total_pages()) {
    view.cached -= view.cached % page_tokens;
  } else {
    view.cached_idle += pool_.idle(tree_.page(match.copy_from)) ? 1 : 0;
  }
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
  const auto n = static_cast<ptrdiff_t>(std::min(s.tokens.size() - 1, l.tokens.size()));
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

void PrefixCache::look_up(std::span<Sequence* const> sequences,
                          std::span<SequenceView> views) const {
  if (!options_.enabled || encoder_) return;
  const int32_t page_tokens = tree_.page_tokens();
  std::vector<PrefixLeader> leaders;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& s = *sequences[i];
    const auto missing = static_cast<int32_t>(s.tokens.size()) - s.computed;
    if (!takes_part(s) || views[i].paused || s.pages.empty() || missing == 1) continue;
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
}

void PrefixCache::fill(EngineStats& stats) const {
  stats.prefix_queries_tokens = queries_tokens_;
  stats.prefix_hits_tokens = hits_tokens_;
  stats.prefix_evictions = tree_.evictions();
  stats.prefix_pages = tree_.pages();
  stats.evictable_pages = pool_.idle_pages();
}

}  // namespace weir::engine
