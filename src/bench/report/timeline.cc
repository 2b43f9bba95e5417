#include "bench/report/timeline.h"

#include <algorithm>
#include <cmath>

namespace weir::bench {
namespace {

constexpr double kWantedBins = 120;  // a plot 800 px wide shows them as 6 or 7 px each
constexpr size_t kMaxSeconds = 86'400;

}  // namespace

Bins::Bins(const Window& window, size_t count)
    : begin_s_(window.begin_s),
      width_s_(std::max(window.length_s(), 1e-9) / static_cast<double>(std::max<size_t>(count, 1))),
      sums_(std::max<size_t>(count, 1)) {}

void Bins::add(double t, double amount) {
  const double at = (t - begin_s_) / width_s_;
  const auto n = static_cast<double>(sums_.size());
  if (!(at >= 0) || at > n) return;
  sums_[std::min(static_cast<size_t>(at), sums_.size() - 1)] += amount;
}

void Bins::add_span(double from, double to, double amount) {
  const auto n = static_cast<double>(sums_.size());
  const double a = std::clamp((from - begin_s_) / width_s_, 0.0, n);
  const double b = std::clamp((to - begin_s_) / width_s_, 0.0, n);
  for (auto i = static_cast<size_t>(a); i < sums_.size() && static_cast<double>(i) < b; ++i) {
    const auto left = static_cast<double>(i);
    sums_[i] += amount * width_s_ * (std::min(b, left + 1) - std::max(a, left));
  }
}

std::vector<double> Bins::per_s() const {
  std::vector<double> out = sums_;
  for (double& v : out) v /= width_s_;
  return out;
}

void for_each_piece(const RequestRecord& r,
                    const std::function<void(double t, double tokens)>& at) {
  if (r.output_tokens < 1) return;
  if (r.first_token_s < 0) {  // an answer in one piece: all of it comes at its end
    if (r.outcome == Outcome::kOk && r.end_s >= 0) at(r.end_s, r.output_tokens);
    return;
  }
  const double each = r.output_tokens / static_cast<double>(r.gaps_ms.size() + 1);
  double t = r.first_token_s;
  at(t, each);
  for (const float gap : r.gaps_ms) at(t += static_cast<double>(gap) * 1e-3, each);
}

double round_bin_s(double duration_s) {
  const double raw = std::max(duration_s, 1e-3) / kWantedBins;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double m : {1.0, 2.0, 5.0}) {
    if (raw <= m * power * 1.0000001) return m * power;
  }
  return 10 * power;
}

Timeline make_timeline(const LoadRun& run) {
  Timeline t;
  if (!(run.duration_s > 0)) return t;
  t.bin_s = round_bin_s(run.duration_s);
  const auto count = static_cast<size_t>(std::ceil(run.duration_s / t.bin_s - 1e-9));
  const Window window{0, t.bin_s * static_cast<double>(count)};
  Bins busy(window, count), tokens(window, count), arrivals(window, count), ttft(window, count),
      started(window, count), errors(window, count), refusals(window, count);
  for (const RequestRecord& r : run.requests) {
    const double end = r.end_s < 0 ? run.duration_s : r.end_s;
    busy.add_span(r.sent_s, end, 1);
    arrivals.add(r.intended_s, 1);
    for_each_piece(r, [&](double at, double n) { tokens.add(at, n); });
    if (r.outcome == Outcome::kRejected) {
      refusals.add(end, 1);
    } else if (r.outcome != Outcome::kOk) {
      errors.add(end, 1);
    } else if (r.first_token_s >= 0) {
      ttft.add(r.intended_s, r.ttft_s() * 1e3);
      started.add(r.intended_s, 1);
    }
  }
  t.in_flight = busy.per_s();
  t.output_tokens_per_s = tokens.per_s();
  t.arrivals_per_s = arrivals.per_s();
  t.errors_per_s = errors.per_s();
  t.refusals_per_s = refusals.per_s();
  for (size_t i = 0; i < count; ++i) {
    const double n = started.sums()[i];
    t.ttft_ms.push_back(n > 0 ? ttft.sums()[i] / n : kUnknown);
  }
  return t;
}

double peak_tokens_per_s(const LoadRun& run) {
  if (!(run.duration_s > 0)) return 0;
  const double wanted = std::max(1.0, std::ceil(run.duration_s));
  const size_t count = std::min(static_cast<size_t>(wanted), kMaxSeconds);
  const double length = run.duration_s < 1 ? run.duration_s : wanted;
  Bins bins({0, length}, count);
  for (const RequestRecord& r : run.requests)
    for_each_piece(r, [&](double at, double n) { bins.add(at, n); });
  const std::vector<double> rates = bins.per_s();
  return *std::max_element(rates.begin(), rates.end());
}

int32_t peak_in_flight(const LoadRun& run) {
  std::vector<std::pair<double, int32_t>> changes;
  for (const RequestRecord& r : run.requests) {
    changes.emplace_back(r.sent_s, 1);
    changes.emplace_back(r.end_s < 0 ? run.duration_s : r.end_s, -1);
  }
  // At one instant an end comes before a start: a closed loop's next request replaces its last.
  std::sort(changes.begin(), changes.end());
  int32_t now = 0;
  int32_t most = 0;
  for (const auto& [t, change] : changes) most = std::max(most, now += change);
  return most;
}

}  // namespace weir::bench
