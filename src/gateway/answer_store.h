// Answers that are kept and shared between requests: idempotent replay, the exact cache, and one
// request in place of many that ask the same at once. What is decided is in cache/; this holds the
// state of a gateway and the visits that wait for one another. One thread: the proxy's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "gateway/answer_recorder.h"
#include "gateway/cache/idempotency.h"
#include "gateway/cache/response_cache.h"
#include "gateway/cache/semantic_cache.h"
#include "gateway/cache/single_flight.h"
#include "gateway/state/outage.h"
#include "telemetry/metrics.h"

namespace weir::gateway {

class Visit;

struct AnswerStoreConfig {
  bool cache_enabled = false;
  ResponseCacheConfig cache;
  std::string semantic_model;  // that makes embeddings, as clients call it; "": no semantic cache
  std::vector<std::string> semantic_tenants;  // whose questions; "*": everybody's
  SemanticCacheConfig semantic;
  SingleFlightConfig flights;
  bool idempotency_enabled = true;
  IdempotencyConfig idempotency;
  std::string idempotency_file;  // of SQLite; "": in memory, gone with the process
  bool operator==(const AnswerStoreConfig&) const = default;
};

// How the answer of a request is to be kept.
struct KeepAs {
  Hash128 key;
  CacheScope scope;
  std::vector<std::string> tags;
  int64_t ttl_ns = 0;  // 0: the cache's own
  // Only since it is at temperature 0: one that the upstream drew without it is not kept.
  bool by_temperature = false;
  std::string context;           // of the question, for the semantic cache
  std::vector<float> embedding;  // empty: not for that
};

class AnswerStore {
 public:
  using Id = uint64_t;  // of a visit

  // Errors: those of sqlite_idempotency_store. registry outlives it.
  static Result<std::unique_ptr<AnswerStore>> make(const AnswerStoreConfig& config,
                                                   const HashKey& secret,
                                                   telemetry::Registry& registry);
  ~AnswerStore();
  AnswerStore(const AnswerStore&) = delete;
  AnswerStore& operator=(const AnswerStore&) = delete;

  Idempotency* idempotency() { return idempotency_.has_value() ? &*idempotency_ : nullptr; }
  ResponseCache* cache() { return cache_.has_value() ? &*cache_ : nullptr; }
  SemanticCache* semantic() { return semantic_.has_value() ? &*semantic_ : nullptr; }
  // An answer, which `taken` holds, has ended: it goes into the caches if it was good and whole,
  // of the release that the scope names, if any, and as by_temperature wants it. Whether the exact
  // one has it now. Precondition: there is one.
  bool keep(KeepAs as, AnswerRecorder& taken, bool good, std::string_view release, int64_t now_ns);
  // Of both caches; how many went.
  size_t invalidate(const InvalidateFilter& filter);
  SingleFlight& flights() { return flights_; }
  const HashKey& secret() const { return secret_; }
  Id next_id() { return ++last_id_; }

  // A visit that waits for another's end is kept here.
  void wait(Id id, std::shared_ptr<Visit> visit);
  std::shared_ptr<Visit> take(Id id);  // null: it does not wait
  // Those of idempotency that waited for one that is over begin again.
  void wake(const std::vector<Id>& ids);

  // hit stale semantic miss shared bypass refresh; run replay wait refused unkept.
  void count_cache(std::string_view result);
  void count_idempotency(std::string_view result) { idempotency_total_.with(result).add(); }
  Outage& idempotency_outage() { return idempotency_outage_; }
  // {"entries":…,"bytes":…,"hits":…,…}
  std::string json() const;

 private:
  AnswerStore(const AnswerStoreConfig& config, const HashKey& secret,
              telemetry::Registry& registry);

  const HashKey secret_;
  std::optional<Idempotency> idempotency_;
  std::optional<ResponseCache> cache_;
  std::optional<SemanticCache> semantic_;
  SingleFlight flights_;
  std::unordered_map<Id, std::shared_ptr<Visit>> waiting_;
  Id last_id_ = 0;
  Outage idempotency_outage_;
  telemetry::CounterFamily cache_total_;        // weir_gateway_cache_total{result}
  telemetry::CounterFamily idempotency_total_;  // weir_gateway_idempotency_total{result}
  telemetry::Gauge cache_bytes_;                // weir_gateway_cache_bytes
};

// POST /admin/cache/invalidate: {"tenant","model","release","tag"}, one at least, or {"all":true}.
// Error kInvalidValue, kInvalidJson.
Result<InvalidateFilter> parse_invalidate(std::string_view body);

}  // namespace weir::gateway
