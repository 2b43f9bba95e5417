#include "bench/report/steady.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace weir::bench {
namespace {

constexpr size_t kMinRequests = 20;  // below, a mean of latencies says nothing about a trend
constexpr size_t kBatches = 80;      // of MSER-5: means of five bins each
constexpr size_t kStretches = 20;    // of the trend; z of a strictly rising series of 20 is 6.1
constexpr double kTrendZ = 3;        // chance of 1 in 700 without a trend
constexpr double kTrendRatio = 1.5;

double mean_of(std::span<const double> v) {
  double sum = 0;
  for (const double x : v) sum += x;
  return v.empty() ? 0 : sum / static_cast<double>(v.size());
}

// Means of TTFT over equal numbers of requests, in order of intended time.
std::vector<double> ttft_stretches(const LoadRun& run, const Window& window) {
  std::vector<double> ttft;
  for (const RequestRecord& r : run.requests) {
    if (r.outcome == Outcome::kOk && r.first_token_s >= 0 && window.holds(r.intended_s))
      ttft.push_back(r.ttft_s() * 1e3);
  }
  std::vector<double> out;
  const size_t count = std::min(kStretches, ttft.size());
  for (size_t i = 0; i < count; ++i) {
    const size_t from = ttft.size() * i / count;
    const size_t to = ttft.size() * (i + 1) / count;
    out.push_back(mean_of(std::span(ttft).subspan(from, to - from)));
  }
  return out;
}

// The sentence when TTFT climbs over the window, else "".
std::string climbing(const LoadRun& run, const Window& window) {
  const std::vector<double> s = ttft_stretches(run, window);
  if (s.size() < kStretches || mann_kendall_z(s) < kTrendZ) return "";
  const double first = mean_of(std::span(s).first(s.size() / 4));
  const double last = mean_of(std::span(s).last(s.size() / 4));
  if (last < kTrendRatio * first) return "";
  return fmt::format(
      "not steady: TTFT climbs throughout, from {:.0f} ms (first quarter) to {:.0f} ms (last): the "
      "load is above capacity, and a longer run would show larger numbers",
      first, last);
}

}  // namespace

MserCut mser(std::span<const double> series) {
  MserCut best;
  const size_t n = series.size();
  if (n < 4) return best;
  double least = std::numeric_limits<double>::infinity();
  double sum = 0;
  double squares = 0;
  std::vector<double> score(n);
  for (size_t i = n; i-- > 0;) {
    sum += series[i];
    squares += series[i] * series[i];
    const auto left = static_cast<double>(n - i);
    score[i] = std::max(0.0, squares - sum * sum / left) / (left * left);
  }
  for (size_t d = 0; d <= n / 2; ++d) {
    if (score[d] < least * (1 - 1e-12)) {
      least = score[d];
      best.cut = d;
    }
  }
  best.settled = best.cut < n / 2;
  return best;
}

double mann_kendall_z(std::span<const double> v) {
  if (v.size() < 4) return 0;
  int64_t s = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    for (size_t j = i + 1; j < v.size(); ++j) s += (v[j] > v[i]) - (v[j] < v[i]);
  }
  const auto n = static_cast<double>(v.size());
  const double sd = std::sqrt(n * (n - 1) * (2 * n + 5) / 18);
  return s == 0 ? 0 : (static_cast<double>(s) - (s > 0 ? 1 : -1)) / sd;
}

SteadyWindow find_steady(const LoadRun& run) {
  SteadyWindow out;
  if (run.requests.size() < kMinRequests || !(run.duration_s > 0)) {
    out.how = fmt::format("not looked for: {} requests, at least {} are needed",
                          run.requests.size(), kMinRequests);
    return out;
  }
  double last_sent = 0;
  for (const RequestRecord& r : run.requests) last_sent = std::max(last_sent, r.sent_s);
  const Window sending{0, std::min(last_sent, run.duration_s)};
  if (sending.length_s() < 0.1 * run.duration_s) {
    out.how = fmt::format("not looked for: all requests were sent in the first {:.1f} of {:.1f} s",
                          sending.end_s, run.duration_s);
    return out;
  }
  Bins tokens(sending, kBatches);
  for (const RequestRecord& r : run.requests)
    for_each_piece(r, [&](double at, double n) { tokens.add(at, n); });
  const MserCut cut = mser(tokens.sums());
  if (!cut.settled) {
    out.how = "not found: throughput still changes in the second half of the run; run longer";
    return out;
  }
  out.window = {tokens.width_s() * static_cast<double>(cut.cut), sending.end_s};
  out.how = climbing(run, out.window);
  if (!out.how.empty()) return out;
  out.found = true;
  out.how = fmt::format(
      "{:.1f} to {:.1f} s; cut: {:.1f} s of warm-up (MSER-5 on output tokens/s), {:.1f} s of drain",
      out.window.begin_s, out.window.end_s, out.window.begin_s, run.duration_s - out.window.end_s);
  return out;
}

}  // namespace weir::bench
