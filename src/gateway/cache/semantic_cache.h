// Answers to questions that mean the same: found by the cosine between embeddings, which come from
// outside.
//
// A question is compared only with those of the same scope and the same context, which is all of
// the request but the last user text: system prompt, conversation, parameters, tools. How often
// two questions that are that close do not mean the same is a property of the embedding model and
// of the traffic: semantic_eval.h measures it, and gives a threshold for the rate that one can
// live with. Off unless configured. Pure but for what it stores: time is passed in (steady
// nanoseconds). One thread. A search reads every vector of its context: 10,000 of 384 dimensions
// are 4 million multiplications.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "gateway/cache/response_cache.h"
#include "text/json.h"

namespace weir::gateway {

struct SemanticCacheConfig {
  double threshold = 0.97;  // cosine; measure it, see above
  size_t max_entries = 10'000;
  size_t max_context_entries = 2'000;    // what one search reads at most
  size_t max_bytes = 256 * 1024 * 1024;  // vectors, answers, kEntryBytes each
  size_t max_answer_bytes = 1024 * 1024;
  double max_tenant_share = 0.5;  // of max_entries and max_bytes
  size_t max_dimensions = 8'192;
  int64_t ttl_ns = 3'600'000'000'000;
  bool operator==(const SemanticCacheConfig&) const = default;
};

// What is compared, and within what.
struct SemanticQuestion {
  std::string text;     // of the last user message: to be embedded
  std::string context;  // all the rest, canonical
};
// Nothing when the request has no messages, or its last one is no user's plain text.
std::optional<SemanticQuestion> semantic_question(const text::Json& request);

struct SemanticHit {
  std::shared_ptr<const StoredAnswer> answer;
  double similarity = 0;
  int64_t age_ns = 0;
};

class SemanticCache {
 public:
  static constexpr size_t kEntryBytes = 512;

  SemanticCache(const SemanticCacheConfig& config, const HashKey& secret)
      : config_(config), secret_(secret) {}

  // The nearest one at or above the threshold. Errors: kInvalidValue for a vector that is empty,
  // too long, zero or not finite.
  Result<std::optional<SemanticHit>> find(const CacheScope& scope, std::string_view context,
                                          std::span<const float> embedding, int64_t now_ns);
  // False: bigger than a bound. The same errors, and kInvalidValue for another number of dimensions
  // than the context has. The oldest leave for it.
  Result<bool> store(std::string_view context, std::span<const float> embedding,
                     StoredAnswer answer, int64_t now_ns);
  size_t invalidate(const InvalidateFilter& filter);

  size_t entries() const { return order_.size(); }
  size_t bytes() const { return bytes_; }
  size_t contexts() const { return contexts_.size(); }
  uint64_t evicted() const { return evicted_; }

 private:
  struct Entry;
  using Order = std::list<Entry>;  // as they were stored
  using Members = std::list<Order::iterator>;
  struct Entry {
    Hash128 context;
    std::vector<float> vector;  // of length 1
    std::shared_ptr<const StoredAnswer> answer;
    int64_t stored_ns = 0;
    size_t bytes = 0;
    Members::iterator place;         // in its context
    Members::iterator tenant_place;  // in its tenant
  };
  struct Tenant {
    Members members;
    size_t bytes = 0;
  };

  Hash128 key_of(const CacheScope& scope, std::string_view context) const;
  void expire(int64_t now_ns);
  void erase(Order::iterator entry);
  void make_room(const Hash128& context, Tenant& tenant);

  const SemanticCacheConfig config_;
  const HashKey secret_;
  Order order_;
  std::map<Hash128, Members> contexts_;
  std::map<std::string, Tenant> tenants_;
  size_t bytes_ = 0;
  uint64_t evicted_ = 0;
};

// embedding / its length. Error kInvalidValue.
Result<std::vector<float>> unit_vector(std::span<const float> embedding, size_t max_dimensions);
// Of two of the same size.
double dot(std::span<const float> a, std::span<const float> b);

}  // namespace weir::gateway
