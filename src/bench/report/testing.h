// Load runs with known truth, for tests. Internal to bench/.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "base/rng.h"
#include "bench/load/measurement.h"

namespace weir::bench {

struct SyntheticOptions {
  int requests = 400;
  double rate_per_s = 10;    // Poisson arrivals
  double ttft_mean_ms = 80;  // exponential: quantile q is -mean * ln(1 - q)
  double gap_mean_ms = 10;   // exponential, times a factor per request in [0.5, 1.5]
  int output_tokens = 20;
  int prompt_tokens = 100;
  int cached_tokens = 40;
  int groups = 0;
  double refused_share = 0;
  double failed_share = 0;
  double ttft_growth = 0;  // added for each second of the run, in means
  double warmup_s = 0;     // requests intended before it get 3 times the gaps
};

// -ln(1 - u): exponential with mean 1.
inline double exponential(Rng& rng) { return -std::log1p(-rng.unit()); }

inline LoadRun synthetic_run(uint64_t seed, const SyntheticOptions& o = {}) {
  Rng rng(seed, 77);
  LoadRun run;
  run.label = "rate " + std::to_string(static_cast<int>(o.rate_per_s));
  run.settings = {{"model", "synthetic"}, {"arrivals", "poisson"}};
  run.offered_per_s = o.rate_per_s;
  double t = 0;
  for (int i = 0; i < o.requests; ++i) {
    t += exponential(rng) / o.rate_per_s;
    RequestRecord r;
    r.intended_s = t;
    r.sent_s = t + 0.0002;
    r.prompt_tokens = o.prompt_tokens;
    r.group = o.groups > 0 ? i % o.groups : -1;
    const double fate = rng.unit();
    if (fate < o.refused_share) {
      r.outcome = Outcome::kRejected;
      r.status = 503;
      r.error = "the queue is full";
      r.retry_after_s = 2;
      r.end_s = r.sent_s + 0.003;
    } else {
      r.status = 200;
      const double growth = 1 + o.ttft_growth * t;
      r.first_token_s = t + growth * o.ttft_mean_ms * 1e-3 * exponential(rng);
      r.queue_ms = 0.3 * r.ttft_s() * 1e3;
      const double factor = (0.5 + rng.unit()) * (t < o.warmup_s ? 3 : 1);
      double at = r.first_token_s;
      for (int g = 1; g < o.output_tokens; ++g) {
        r.gaps_ms.push_back(static_cast<float>(factor * o.gap_mean_ms * exponential(rng)));
        at += static_cast<double>(r.gaps_ms.back()) * 1e-3;
      }
      r.end_s = at;
      r.output_tokens = o.output_tokens;
      r.cached_tokens = o.cached_tokens;
      if (fate < o.refused_share + o.failed_share) {
        r.outcome = Outcome::kConnection;
        r.error = "reset by peer";
      }
    }
    run.duration_s = std::max(run.duration_s, r.end_s);
    run.requests.push_back(std::move(r));
  }
  return run;
}

}  // namespace weir::bench
