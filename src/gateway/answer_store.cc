#include "gateway/answer_store.h"

#include <utility>

#include "gateway/visit.h"
#include "text/json.h"

namespace weir::gateway {

AnswerStore::AnswerStore(const AnswerStoreConfig& config, const HashKey& secret,
                         telemetry::Registry& registry)
    : secret_(secret),
      flights_(config.flights),
      cache_total_(registry.counter_family("weir_gateway_cache_total",
                                           "Requests that may be answered from the cache by what "
                                           "came of it",
                                           "result")),
      idempotency_total_(registry.counter_family("weir_gateway_idempotency_total",
                                                 "Requests with an Idempotency-Key by what came of "
                                                 "it",
                                                 "result")),
      cache_bytes_(registry.gauge("weir_gateway_cache_bytes", "Of the response cache")) {
  if (config.cache_enabled) cache_.emplace(config.cache);
  if (config.cache_enabled && !config.semantic_model.empty())
    semantic_.emplace(config.semantic, secret);
}

AnswerStore::~AnswerStore() = default;

Result<std::unique_ptr<AnswerStore>> AnswerStore::make(const AnswerStoreConfig& config,
                                                       const HashKey& secret,
                                                       telemetry::Registry& registry) {
  std::unique_ptr<AnswerStore> made(new AnswerStore(config, secret, registry));
  if (!config.idempotency_enabled) return made;
  std::unique_ptr<IdempotencyStore> records;
  if (config.idempotency_file.empty()) {
    records = memory_idempotency_store(config.idempotency);
  } else {
    WEIR_ASSIGN(records, sqlite_idempotency_store(config.idempotency, config.idempotency_file));
  }
  made->idempotency_.emplace(config.idempotency, std::move(records));
  return made;
}

bool AnswerStore::keep(KeepAs as, AnswerRecorder& taken, bool good, std::string_view release,
                       int64_t now_ns) {
  if (!good || (!as.scope.release.empty() && release != as.scope.release)) return false;
  if (as.by_temperature && taken.lost_temperature()) return false;
  auto whole = taken.finish();
  if (!whole.has_value()) return false;
  if (!as.embedding.empty())
    (void)semantic_->store(as.context, as.embedding, {as.scope, as.tags, *whole, taken.cascade()},
                           now_ns);
  return cache_->store(
      as.key, {std::move(as.scope), std::move(as.tags), std::move(*whole), taken.cascade()}, now_ns,
      as.ttl_ns);
}

size_t AnswerStore::invalidate(const InvalidateFilter& filter) {
  return (cache_.has_value() ? cache_->invalidate(filter) : 0) +
         (semantic_.has_value() ? semantic_->invalidate(filter) : 0);
}

void AnswerStore::wait(Id id, std::shared_ptr<Visit> visit) { waiting_[id] = std::move(visit); }

std::shared_ptr<Visit> AnswerStore::take(Id id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return nullptr;
  std::shared_ptr<Visit> visit = std::move(found->second);
  waiting_.erase(found);
  return visit;
}

void AnswerStore::wake(const std::vector<Id>& ids) {
  for (const Id id : ids)
    if (const auto visit = take(id)) visit->do_once();
}

void AnswerStore::count_cache(std::string_view result) {
  cache_total_.with(result).add();
  if (cache_.has_value()) cache_bytes_.set(static_cast<double>(cache_->bytes()));
}

std::string AnswerStore::json() const {
  text::Json out = text::Json::object();
  const auto set = [&out](std::string_view name, uint64_t value) {
    out.set(name, static_cast<int64_t>(value));
  };
  out.set("cache", cache_.has_value());
  if (cache_.has_value()) {
    const CacheCounts& c = cache_->counts();
    set("entries", cache_->entries());
    set("bytes", cache_->bytes());
    set("tenants", cache_->tenants());
    set("hits", c.hits);
    set("stale_hits", c.stale_hits);
    set("misses", c.misses);
    set("stored", c.stored);
    set("too_big", c.too_big);
    set("evicted", c.evicted);
    set("expired", c.expired);
    set("invalidated", c.invalidated);
  }
  out.set("semantic", semantic_.has_value());
  if (semantic_.has_value()) {
    set("semantic_entries", semantic_->entries());
    set("semantic_bytes", semantic_->bytes());
  }
  out.set("idempotency", idempotency_.has_value());
  if (idempotency_.has_value()) {
    set("idempotency_records", idempotency_->store().records());
    set("idempotency_bytes", idempotency_->store().bytes());
  }
  return out.dump();
}

Result<InvalidateFilter> parse_invalidate(std::string_view body) {
  WEIR_ASSIGN(const text::Json json, text::Json::parse(body));
  if (!json.is_object())
    return make_error(ErrorCode::kInvalidJson, "the body must be an object, not {}",
                      json.type_name());
  InvalidateFilter filter;
  bool all = false;
  for (const auto& [name, value] : json.members()) {
    std::optional<std::string>* field = name == "tenant"    ? &filter.tenant
                                        : name == "model"   ? &filter.model
                                        : name == "release" ? &filter.release
                                        : name == "tag"     ? &filter.tag
                                                            : nullptr;
    if (field != nullptr && value.is_string()) {
      *field = value.as_string();
    } else if (name == "all" && value.is_bool()) {
      all = value.as_bool();
    } else {
      return param_error(ErrorCode::kInvalidValue, name,
                         "the fields are tenant, model, release and tag, each a string, and all");
    }
  }
  const bool any = filter.tenant || filter.model || filter.release || filter.tag;
  if (any == all)
    return param_error(ErrorCode::kInvalidValue, "all",
                       R"(say whose answers are to go, or {{"all":true}} for everything)");
  return filter;
}

}  // namespace weir::gateway
