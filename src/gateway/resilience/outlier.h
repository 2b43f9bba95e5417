// Passive ejection: endpoints of a pool that fail while the others do not are left out for a while.
// Pure: time is passed in.
//
// Two signs, both Envoy's (outlier detection, envoyproxy.io): so many failures in a row; and, once
// an interval, a success rate below mean - factor * standard deviation of the pool's endpoints with
// enough requests. The time of an ejection is the base times the number of the endpoint's
// ejections, which falls by one with each interval that it is in. Never more than max_ejected of
// the pool is out: when everything fails, ejection would only concentrate the load.
//
// The panic threshold is the other guard: when too little of a pool is well, the few would take all
// the load and fall too; then health is ignored for the whole pool (circuit breakers are not).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace weir::gateway {

struct OutlierConfig {
  int32_t consecutive_failures = 5;  // 0: not by this sign
  int64_t interval_ms = 10'000;      // of the sweep; >= 100
  double stdev_factor = 1.9;         // 0: not by the success rate
  int64_t min_requests = 100;        // of an endpoint in an interval, for its rate to count
  int32_t min_endpoints = 5;         // with that many requests, for a mean to mean something
  int64_t base_ejection_ms = 10'000;
  int64_t max_ejection_ms = 300'000;
  double max_ejected = 0.5;  // of the pool; 0 .. 1, rounded down
  friend bool operator==(const OutlierConfig&, const OutlierConfig&) = default;
};

enum class EjectionCause { kConsecutive, kSuccessRate };
std::string_view ejection_cause_name(EjectionCause cause);  // "success_rate"

struct Ejection {
  size_t endpoint = 0;
  int64_t until_ns = 0;
  EjectionCause cause = EjectionCause::kConsecutive;
};

// Endpoints are numbers that add() gives; a removed one's number is given again. One thread.
// Memory: about 50 bytes per endpoint.
class OutlierDetector {
 public:
  explicit OutlierDetector(const OutlierConfig& config = {});

  size_t add();
  void remove(size_t endpoint);

  // The result of a request that says something about the endpoint. The ejection it causes, if any.
  std::optional<Ejection> record(size_t endpoint, bool success, int64_t now_ns);
  // A recorded success has failed after all (a stream was cut): for the rates only.
  void revoke(size_t endpoint);
  // Works when an interval is over, else returns nothing at once: call it before each decision or
  // from a timer.
  std::vector<Ejection> sweep(int64_t now_ns);

  bool ejected(size_t endpoint, int64_t now_ns) const;
  int64_t ejected_until_ns(size_t endpoint) const { return endpoints_[endpoint].until_ns; }
  size_t ejected_count(int64_t now_ns) const;
  uint64_t ejections() const { return ejections_; }  // since the start

 private:
  struct Endpoint {
    bool used = false;
    int32_t in_a_row = 0;
    int32_t times = 0;  // ejections that are not forgotten
    int64_t until_ns = 0;
    int64_t requests = 0;  // of this interval
    int64_t successes = 0;
  };
  std::optional<Ejection> eject(size_t endpoint, EjectionCause cause, int64_t now_ns);

  OutlierConfig config_;
  std::vector<Endpoint> endpoints_;
  size_t used_ = 0;
  int64_t next_sweep_ns_ = 0;
  uint64_t ejections_ = 0;
};

// Whether health is to be ignored: of `all` endpoints only `well` are healthy and not ejected.
// threshold: 0 .. 1 of the pool; 0: never.
bool pool_panics(size_t well, size_t all, double threshold);

}  // namespace weir::gateway
