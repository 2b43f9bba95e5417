// How much of an idempotency store is in use, by tenant, and whether that is too much. Internal to
// the stores.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "gateway/cache/idempotency.h"

namespace weir::gateway {

class IdempotencyRoom {
 public:
  explicit IdempotencyRoom(const IdempotencyConfig& c)
      : most_{c.max_records, c.max_bytes},
        most_of_tenant_{share(c.max_records, c.max_tenant_share),
                        share(c.max_bytes, c.max_tenant_share)} {}

  static size_t bytes_of(const IdempotencyName& name, const std::string& fingerprint) {
    return IdempotencyStore::kRecordBytes + name.tenant.size() + name.key.size() +
           fingerprint.size();
  }
  static size_t bytes_of(const StoredReply& reply) {
    return reply.content_type.size() + reply.body.size();
  }

  void add(const std::string& tenant, size_t records, size_t bytes) {
    Use& t = tenants_[tenant];
    t.records += records;
    t.bytes += bytes;
    total_.records += records;
    total_.bytes += bytes;
  }
  void remove(const std::string& tenant, size_t records, size_t bytes) {
    const auto t = tenants_.find(tenant);
    t->second.records -= records;
    t->second.bytes -= bytes;
    if (t->second.records == 0) tenants_.erase(t);
    total_.records -= records;
    total_.bytes -= bytes;
  }
  // Whether that much more would pass a bound: of the tenant, or of all.
  bool tenant_full(const std::string& tenant, size_t records, size_t bytes) const {
    const auto t = tenants_.find(tenant);
    return full(t == tenants_.end() ? Use{} : t->second, most_of_tenant_, records, bytes);
  }
  bool all_full(size_t records, size_t bytes) const { return full(total_, most_, records, bytes); }
  size_t records() const { return total_.records; }
  size_t bytes() const { return total_.bytes; }

 private:
  struct Use {
    size_t records = 0;
    size_t bytes = 0;
  };
  static bool full(const Use& use, const Use& most, size_t records, size_t bytes) {
    return use.records + records > most.records || use.bytes + bytes > most.bytes;
  }
  static size_t share(size_t total, double part) {
    return static_cast<size_t>(static_cast<double>(total) * std::clamp(part, 0.0, 1.0));
  }

  const Use most_;
  const Use most_of_tenant_;
  std::map<std::string, Use> tenants_;
  Use total_;
};

}  // namespace weir::gateway
