// Which of a model's endpoints gets a request, and where it goes next should that fail.
//
// Pure and deterministic: the same inputs and the same draw give the same attempts. O(endpoints).
// What is down is never chosen; what is full comes after everything that is not (a tier spills over
// to the next at once and has its traffic back as soon as it has room). Which tier comes first:
// failover.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "gateway/route/failover.h"
#include "gateway/route/fleet_view.h"

namespace weir::gateway {

enum class PickPolicy {
  kRoundRobin,       // in turn, in proportion to the weights
  kRandomTwo,        // the less loaded of two drawn by weight (Mitzenmacher, TPDS 2001)
  kLeastLoaded,      // the least load_tokens()
  kCacheAware,       // the greatest score: matched share - beta * relative load
  kSessionAffinity,  // rendezvous hashing of the session with bounded load
};

std::string_view pick_policy_name(PickPolicy policy);  // "cache_aware"
std::optional<PickPolicy> pick_policy_of(std::string_view name);

// An endpoint's load and its matched tokens are both divided by the tokens of the request, so a
// score says in shares of this prompt's prefill what an endpoint saves and what waiting there
// costs. With beta = 1 it is the least time to first token of this request alone. Less keeps
// prefixes together, which serves those who come after: on the Mooncake traces 0.25 has the best
// p90 TTFT of all (simulate.h; 0.1 to 0.5 differ by 5 %). A request leaves the endpoint that has
// its prefix once the queue there is longer than the shortest by matched / beta tokens.
struct PickConfig {
  PickPolicy policy = PickPolicy::kLeastLoaded;
  double beta = 0.25;                  // of kCacheAware; >= 0
  double stream_tokens = 64;           // prefill tokens that a running request weighs
  double waiting_tokens = 1024;        // that a request weighs that an endpoint says is waiting
  int64_t max_signal_age_ms = 10'000;  // what an endpoint said earlier is not believed
  double full_kv_usage = 0.98;         // with this and a queue an endpoint counts as full
  double session_bound = 1.25;         // of the mean load, that affinity may give; > 1
  HashKey session_key{};               // the same in all replicas
  size_t attempts = 3;                 // 1 .. kMaxAttempts
};

inline constexpr size_t kMaxAttempts = 8;

// Indexes of distinct endpoints, the first to be tried first.
struct Attempts {
  std::array<uint32_t, kMaxAttempts> endpoint{};
  size_t count = 0;  // 0: nothing is up

  std::span<const uint32_t> all() const { return {endpoint.data(), count}; }
};

struct PickInput {
  const RequestView& request;
  const FleetView& fleet;
  const Failover& failover;  // of the model, up to date
  // By index of endpoint (PrefixIndex::match); empty: nothing matches. Used by kCacheAware only.
  std::span<const uint32_t> matched_tokens{};
  uint64_t draw = 0;  // random
  uint64_t turn = 0;  // of kRoundRobin: counts the model's requests
};

// Prefill tokens that stand before a new request there: what was sent and has not answered, running
// requests by their weight; and when the endpoint says that there is more of either, that.
double load_tokens(const PickConfig& config, const EndpointView& endpoint);

bool is_full(const PickConfig& config, const EndpointView& endpoint);

// Memory that decisions use one after the other, so that none allocates.
class PickScratch {
 private:
  friend class Picker;
  struct Entry {
    uint32_t endpoint = 0;
    uint32_t group = 0;
    double spread = 0;  // load as a fraction of what the endpoint is worth
    double weight = 1;
  };
  std::vector<Entry> entries_;  // those that are up
};

Attempts route(const PickConfig& config, const PickInput& input, PickScratch& scratch);

}  // namespace weir::gateway
