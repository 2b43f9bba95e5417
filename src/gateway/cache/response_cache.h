// Answers kept for those who ask the same again: the exact cache.
//
// What leaves when the room is full: an entry of the tenant that has the most of it (its share of
// the bytes or of the entries, whichever is larger), so that nobody loses to one that has more. Of
// a tenant's entries those go first that were never asked for again, in order of their last use;
// the others have an order of their own (segmented LRU, Karedla et al., 1994), and a burst of
// requests that nobody repeats does not push them out.
//
// An answer older than its time to live is still given for `stale_ns`, and one asker at a time is
// told to fetch a new one. Pure but for what it stores: time is passed in (steady nanoseconds).
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "gateway/cache/request_key.h"

namespace weir::gateway {

struct ResponseCacheConfig {
  size_t max_entries = 10'000;
  size_t max_bytes = 256 * 1024 * 1024;   // bodies, names and kEntryBytes each
  size_t max_answer_bytes = 1024 * 1024;  // a bigger answer is not kept
  double kept_share = 0.8;  // of a tenant's bytes: beyond, what was asked for again goes too
  int64_t ttl_ns = 3'600'000'000'000;
  int64_t stale_ns = 0;
  // An asker that was told to fetch a new one has this long; then the next one is told.
  int64_t revalidate_ns = 60'000'000'000;
  bool operator==(const ResponseCacheConfig&) const = default;
};

// A whole answer; replay.h makes a stream of it. Immutable once stored.
struct StoredAnswer {
  CacheScope scope;
  std::vector<std::string> tags;  // for invalidate()
  std::string body;               // a JSON object
  std::string cascade = {};       // x-weir-cascade of it; "": no cascade's
};

// Which answers to forget: those that meet every field that is set.
struct InvalidateFilter {
  std::optional<std::string> tenant;
  std::optional<std::string> model;
  std::optional<std::string> release;
  std::optional<std::string> tag;
  bool matches(const CacheScope& scope, const std::vector<std::string>& tags) const;
};

struct CacheHit {
  std::shared_ptr<const StoredAnswer> answer;  // shared: a replay outlives an eviction
  int64_t age_ns = 0;
  bool stale = false;
  bool revalidate = false;  // stale, and this asker is to fetch a new one
};

struct CacheCounts {
  uint64_t hits = 0;
  uint64_t stale_hits = 0;
  uint64_t misses = 0;
  uint64_t stored = 0;
  uint64_t too_big = 0;
  uint64_t evicted = 0;  // for room
  uint64_t expired = 0;
  uint64_t invalidated = 0;
};

class ResponseCache {
 public:
  static constexpr size_t kEntryBytes = 512;  // lists, maps and pointers of one entry, measured up

  explicit ResponseCache(const ResponseCacheConfig& config) : config_(config) {}
  ResponseCache(const ResponseCache&) = delete;
  ResponseCache& operator=(const ResponseCache&) = delete;

  // tenant: the asker's, checked once more against the entry's.
  std::optional<CacheHit> find(const Hash128& key, std::string_view tenant, int64_t now_ns);
  // What is there, fresh or not; null: nothing. Counts as no use of it.
  std::shared_ptr<const StoredAnswer> peek(const Hash128& key, std::string_view tenant) const;
  // Replaces what the key had. ttl_ns: 0 for the configured one. False: bigger than
  // max_answer_bytes or than everything.
  bool store(const Hash128& key, StoredAnswer answer, int64_t now_ns, int64_t ttl_ns = 0);
  // The asker that was told to revalidate did not get a new one: the next asker is told.
  void revalidation_failed(const Hash128& key);
  size_t invalidate(const InvalidateFilter& filter);

  size_t entries() const { return entries_.size(); }
  size_t bytes() const { return bytes_; }
  size_t tenants() const { return tenants_.size(); }
  const CacheCounts& counts() const { return counts_; }

 private:
  struct KeyHash {
    size_t operator()(const Hash128& k) const { return static_cast<size_t>(k.low); }
  };
  using Order = std::list<Hash128>;  // the last used at the front
  struct Entry {
    std::shared_ptr<const StoredAnswer> answer;
    size_t bytes = 0;
    int64_t stored_ns = 0;
    int64_t fresh_until_ns = 0;
    int64_t revalidate_until_ns = 0;  // until then somebody is fetching
    bool kept = false;                // asked for again: in its tenant's kept, else in its trial
    Order::iterator place;
  };
  using Entries = std::unordered_map<Hash128, Entry, KeyHash>;
  struct Tenant {
    Order trial;
    Order kept;
    size_t bytes = 0;
    size_t kept_bytes = 0;
    double share = 0;  // as by_share_ has it
  };
  using Tenants = std::map<std::string, Tenant, std::less<>>;

  void touch(const Hash128& key, Entry& entry);
  void update_share(Tenants::iterator tenant);
  void make_room(const Hash128& stored);
  Hash128 next_victim(const Hash128& spared) const;
  void erase(Entries::iterator entry);

  const ResponseCacheConfig config_;
  Entries entries_;
  size_t bytes_ = 0;
  Tenants tenants_;                                         // those with entries
  std::set<std::pair<double, std::string_view>> by_share_;  // names as in tenants_
  CacheCounts counts_;
};

}  // namespace weir::gateway
