#include <list>
#include <map>

#include "gateway/cache/idempotency_room.h"

namespace weir::gateway {
namespace {

class MemoryStore final : public IdempotencyStore {
 public:
  explicit MemoryStore(const IdempotencyConfig& config) : config_(config), room_(config) {}

  Result<std::optional<IdempotencyRecord>> insert(const IdempotencyName& name,
                                                  const std::string& fingerprint,
                                                  int64_t now_ms) override {
    while (!done_.empty() && is_old(done_.front()->second.record, now_ms)) drop(done_.front());
    const auto found = records_.find(name);
    if (found != records_.end() && !is_old(found->second.record, now_ms))
      return std::optional(found->second.record);
    if (found != records_.end()) drop(found);
    const size_t bytes = IdempotencyRoom::bytes_of(name, fingerprint);
    WEIR_TRY(make_room(name.tenant, 1, bytes));
    const auto made = records_.try_emplace(name).first;
    made->second.record = {fingerprint, now_ms, std::nullopt};
    made->second.bytes = bytes;
    room_.add(name.tenant, 1, bytes);
    return std::optional<IdempotencyRecord>();
  }

  Status set_reply(const IdempotencyName& name, const StoredReply& reply) override {
    const auto found = records_.find(name);
    if (found == records_.end() || found->second.record.reply) return {};
    const size_t bytes = IdempotencyRoom::bytes_of(reply);
    if (!make_room(name.tenant, 0, bytes).ok()) {
      drop(found);
      return {};
    }
    Entry& entry = found->second;
    entry.record.reply = reply;
    entry.bytes += bytes;
    room_.add(name.tenant, 0, bytes);
    entry.place = done_.insert(done_.end(), found);
    auto& of_tenant = done_of_[name.tenant];
    entry.tenant_place = of_tenant.insert(of_tenant.end(), found);
    return {};
  }

  Status erase(const IdempotencyName& name) override {
    const auto found = records_.find(name);
    if (found != records_.end()) drop(found);
    return {};
  }

  size_t records() const override { return room_.records(); }
  size_t bytes() const override { return room_.bytes(); }
  uint64_t dropped_early() const override { return dropped_early_; }

 private:
  struct Entry;
  using Records = std::map<IdempotencyName, Entry>;
  using Order = std::list<Records::iterator>;  // by the time they were done
  struct Entry {
    IdempotencyRecord record;
    size_t bytes = 0;
    Order::iterator place;  // of one that is done, as the next
    Order::iterator tenant_place;
  };

  bool is_old(const IdempotencyRecord& r, int64_t now_ms) const {
    return r.reply && r.begun_ms + config_.keep_ms <= now_ms;
  }

  void drop(Records::iterator found) {
    Entry& entry = found->second;
    const std::string& tenant = found->first.tenant;
    room_.remove(tenant, 1, entry.bytes);
    if (entry.record.reply) {
      done_.erase(entry.place);
      const auto of_tenant = done_of_.find(tenant);
      of_tenant->second.erase(entry.tenant_place);
      if (of_tenant->second.empty()) done_of_.erase(of_tenant);
    }
    records_.erase(found);
  }

  Status make_room(const std::string& tenant, size_t more, size_t bytes) {
    while (room_.tenant_full(tenant, more, bytes)) {
      const auto of_tenant = done_of_.find(tenant);
      if (of_tenant == done_of_.end()) return no_room();
      drop(of_tenant->second.front());
      ++dropped_early_;
    }
    while (room_.all_full(more, bytes)) {
      if (done_.empty()) return no_room();
      drop(done_.front());
      ++dropped_early_;
    }
    return {};
  }

  static Error no_room() {
    Error e = make_error(ErrorCode::kServerOverloaded,
                         "too many requests with an Idempotency-Key are under way");
    e.bound = "idempotency_records";
    e.retry_after_s = 1;
    return e;
  }

  const IdempotencyConfig config_;
  IdempotencyRoom room_;
  Records records_;
  Order done_;
  std::map<std::string, Order> done_of_;  // tenants that have some
  uint64_t dropped_early_ = 0;
};

}  // namespace

std::unique_ptr<IdempotencyStore> memory_idempotency_store(const IdempotencyConfig& config) {
  return std::make_unique<MemoryStore>(config);
}

}  // namespace weir::gateway
