#include "gateway/cache/response_cache.h"

#include <algorithm>
#include <utility>

namespace weir::gateway {
namespace {

size_t bytes_of(const StoredAnswer& a) {
  size_t bytes = ResponseCache::kEntryBytes + a.body.size() + a.cascade.size() + a.scope.bytes();
  for (const std::string& tag : a.tags) bytes += sizeof(std::string) + tag.size();
  return bytes;
}

bool is(const std::optional<std::string>& wanted, const std::string& value) {
  return !wanted || *wanted == value;
}

}  // namespace

bool InvalidateFilter::matches(const CacheScope& scope,
                               const std::vector<std::string>& tags) const {
  return is(tenant, scope.tenant) && is(model, scope.model) && is(release, scope.release) &&
         (!tag || std::find(tags.begin(), tags.end(), *tag) != tags.end());
}

std::optional<CacheHit> ResponseCache::find(const Hash128& key, std::string_view tenant,
                                            int64_t now_ns) {
  const auto found = entries_.find(key);
  if (found == entries_.end() || found->second.answer->scope.tenant != tenant) {
    ++counts_.misses;
    return std::nullopt;
  }
  Entry& entry = found->second;
  if (now_ns >= entry.fresh_until_ns + config_.stale_ns) {
    erase(found);
    ++counts_.expired;
    ++counts_.misses;
    return std::nullopt;
  }
  touch(key, entry);
  CacheHit hit{entry.answer, now_ns - entry.stored_ns};
  hit.stale = now_ns >= entry.fresh_until_ns;
  if (hit.stale && now_ns >= entry.revalidate_until_ns) {
    hit.revalidate = true;
    entry.revalidate_until_ns = now_ns + config_.revalidate_ns;
  }
  ++(hit.stale ? counts_.stale_hits : counts_.hits);
  return hit;
}

std::shared_ptr<const StoredAnswer> ResponseCache::peek(const Hash128& key,
                                                        std::string_view tenant) const {
  const auto found = entries_.find(key);
  if (found == entries_.end() || found->second.answer->scope.tenant != tenant) return nullptr;
  return found->second.answer;
}

void ResponseCache::touch(const Hash128& key, Entry& entry) {
  Tenant& tenant = tenants_.find(entry.answer->scope.tenant)->second;
  if (entry.kept) {
    tenant.kept.splice(tenant.kept.begin(), tenant.kept, entry.place);
    return;
  }
  tenant.trial.erase(entry.place);
  entry.place = tenant.kept.insert(tenant.kept.begin(), key);
  entry.kept = true;
  tenant.kept_bytes += entry.bytes;
}

// Of the bytes or of the entries, whichever is more: dominant resource fairness, Ghodsi et al.,
// 2011.
void ResponseCache::update_share(Tenants::iterator tenant) {
  Tenant& t = tenant->second;
  by_share_.erase({t.share, tenant->first});
  const size_t entries = t.trial.size() + t.kept.size();
  if (entries == 0) {
    tenants_.erase(tenant);
    return;
  }
  t.share = std::max(static_cast<double>(t.bytes) / static_cast<double>(config_.max_bytes),
                     static_cast<double>(entries) / static_cast<double>(config_.max_entries));
  by_share_.emplace(t.share, tenant->first);
}

bool ResponseCache::store(const Hash128& key, StoredAnswer answer, int64_t now_ns, int64_t ttl_ns) {
  const auto old = entries_.find(key);
  if (old != entries_.end()) erase(old);
  const size_t bytes = bytes_of(answer);
  if (answer.body.size() > config_.max_answer_bytes || bytes > config_.max_bytes ||
      config_.max_entries == 0) {
    ++counts_.too_big;
    return false;
  }
  const auto tenant = tenants_.try_emplace(answer.scope.tenant).first;
  Entry entry;
  entry.bytes = bytes;
  entry.stored_ns = now_ns;
  entry.fresh_until_ns = now_ns + (ttl_ns > 0 ? ttl_ns : config_.ttl_ns);
  entry.answer = std::make_shared<const StoredAnswer>(std::move(answer));
  Order& trial = tenant->second.trial;
  entry.place = trial.insert(trial.begin(), key);
  entries_.emplace(key, std::move(entry));
  bytes_ += bytes;
  tenant->second.bytes += bytes;
  update_share(tenant);
  ++counts_.stored;
  make_room(key);
  return true;
}

void ResponseCache::make_room(const Hash128& stored) {
  while (bytes_ > config_.max_bytes || entries_.size() > config_.max_entries) {
    erase(entries_.find(next_victim(stored)));
    ++counts_.evicted;
  }
}

// There is one: what was just stored fits on its own.
Hash128 ResponseCache::next_victim(const Hash128& spared) const {
  for (auto it = by_share_.rbegin(); it != by_share_.rend(); ++it) {
    const Tenant& tenant = tenants_.find(it->second)->second;
    const bool trial_first = static_cast<double>(tenant.kept_bytes) <=
                             static_cast<double>(tenant.bytes) * config_.kept_share;
    for (const bool trial : {trial_first, !trial_first}) {
      const Order& order = trial ? tenant.trial : tenant.kept;
      if (!order.empty() && order.back() != spared) return order.back();
    }
  }
  return spared;
}

void ResponseCache::erase(Entries::iterator found) {
  Entry& entry = found->second;
  const auto tenant = tenants_.find(entry.answer->scope.tenant);
  Tenant& t = tenant->second;
  t.bytes -= entry.bytes;
  if (entry.kept) t.kept_bytes -= entry.bytes;
  (entry.kept ? t.kept : t.trial).erase(entry.place);
  bytes_ -= entry.bytes;
  entries_.erase(found);
  update_share(tenant);
}

void ResponseCache::revalidation_failed(const Hash128& key) {
  const auto found = entries_.find(key);
  if (found != entries_.end()) found->second.revalidate_until_ns = 0;
}

size_t ResponseCache::invalidate(const InvalidateFilter& filter) {
  size_t gone = 0;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto here = it++;
    const StoredAnswer& answer = *here->second.answer;
    if (!filter.matches(answer.scope, answer.tags)) continue;
    erase(here);
    ++gone;
  }
  counts_.invalidated += gone;
  return gone;
}

}  // namespace weir::gateway
