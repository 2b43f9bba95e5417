#include "ops/trace/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_set>

namespace weir::ops {
namespace {

constexpr double kMinute = 60;
constexpr double kHour = 3600;

std::vector<double> quantile_shares() {
  std::vector<double> out;
  for (int percent = 0; percent <= 100; ++percent) out.push_back(percent / 100.0);
  out.insert(out.end() - 1, {0.995, 0.999});
  return out;
}

TraceQuantity describe(std::vector<double> values) {
  TraceQuantity q;
  q.count = values.size();
  if (values.empty()) return q;
  const auto n = static_cast<double>(values.size());
  q.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double v : values) squares += (v - q.mean) * (v - q.mean);
  q.sd = std::sqrt(squares / n);
  q.fits = fit_all(values);
  std::sort(values.begin(), values.end());
  for (const double share : quantile_shares()) {
    const double at = share * (n - 1);
    const auto below = static_cast<size_t>(at);
    const size_t above = std::min(below + 1, values.size() - 1);
    const double part = at - static_cast<double>(below);
    q.quantiles.emplace_back(share, values[below] + part * (values[above] - values[below]));
  }
  return q;
}

TraceRates rates(const Dataset& trace, double span_s, double bin_s) {
  TraceRates out;
  out.bin_s = bin_s;
  auto bins = static_cast<size_t>(std::max(1.0, std::ceil(span_s / bin_s)));
  const double rest = span_s - static_cast<double>(bins - 1) * bin_s;
  if (bins > 1 && rest < bin_s / 5) --bins;
  std::vector<double> counts(bins, 0.0);
  for (const DatasetRow& row : trace.rows)
    ++counts[std::min(static_cast<size_t>(row.at_s / bin_s), bins - 1)];
  for (size_t i = 0; i < bins; ++i) {
    const double end = i + 1 < bins ? static_cast<double>(i + 1) * bin_s : span_s;
    const double length = end - static_cast<double>(i) * bin_s;
    out.per_s.push_back(length > 0 ? counts[i] / length : 0);
  }
  return out;
}

std::optional<double> peak_of(const Dataset& trace, double span_s) {
  if (span_s < kMinute) return std::nullopt;
  size_t most = 0;
  size_t first = 0;
  for (size_t last = 0; last < trace.rows.size(); ++last) {
    while (trace.rows[last].at_s - trace.rows[first].at_s >= kMinute) ++first;
    most = std::max(most, last - first + 1);
  }
  return static_cast<double>(most) / kMinute;
}

std::optional<double> shared_share(const Dataset& trace) {
  if (trace.blocks.empty()) return std::nullopt;
  std::unordered_set<uint64_t> seen;
  double shared = 0;
  double all = 0;
  for (const DatasetRow& row : trace.rows) {
    const auto begin = trace.blocks.begin() + row.first_block;
    uint32_t known = 0;
    while (known < row.block_count && seen.contains(begin[known])) ++known;
    shared += std::min<double>(static_cast<double>(known) * trace.block_tokens, row.prompt_tokens);
    all += row.prompt_tokens;
    seen.insert(begin, begin + row.block_count);
  }
  if (all <= 0) return std::nullopt;
  return shared / all;
}

}  // namespace

double TraceQuantity::at(double share) const {
  if (quantiles.empty()) return 0;
  const auto above = std::lower_bound(quantiles.begin(), quantiles.end(), share,
                                      [](const auto& q, double s) { return q.first < s; });
  if (above == quantiles.begin()) return quantiles.front().second;
  if (above == quantiles.end()) return quantiles.back().second;
  const auto& [low, low_value] = *(above - 1);
  const auto& [high, high_value] = *above;
  return low_value + (share - low) / (high - low) * (high_value - low_value);
}

TraceTraffic describe_trace(const Dataset& trace, std::string source) {
  TraceTraffic t;
  t.source = std::move(source);
  t.format = trace.format;
  t.requests = trace.rows.size();
  t.skipped = trace.skipped;
  t.span_s = trace.rows.back().at_s;
  t.requests_per_s = mean_rate(trace);
  std::vector<double> prompts, outputs, gaps;
  for (size_t i = 0; i < trace.rows.size(); ++i) {
    prompts.push_back(trace.rows[i].prompt_tokens);
    outputs.push_back(trace.rows[i].output_tokens);
    if (i > 0) gaps.push_back(trace.rows[i].at_s - trace.rows[i - 1].at_s);
  }
  t.prompt_tokens = describe(std::move(prompts));
  t.output_tokens = describe(std::move(outputs));
  t.gap_s = describe(std::move(gaps));
  t.peak_per_s = peak_of(trace, t.span_s);
  if (t.gap_s.count >= 2 && t.gap_s.mean > 0) t.arrival_cv = t.gap_s.sd / t.gap_s.mean;
  t.shared_prefix_share = shared_share(trace);
  constexpr auto kMost = static_cast<double>(TraceTraffic::kMaxBins);
  t.hourly = rates(trace, t.span_s, std::max(kHour, std::ceil(t.span_s / kMost / kHour) * kHour));
  if (t.span_s <= kMost * kMinute) t.minutely = rates(trace, t.span_s, kMinute);
  return t;
}

std::string trace_extent(const TraceTraffic& t) {
  const double s = t.span_s;
  const std::string span = s < 2 * kMinute  ? fmt::format("{:.3g} s", s)
                           : s < 2 * kHour  ? fmt::format("{:.3g} min", s / kMinute)
                           : s < 72 * kHour ? fmt::format("{:.3g} h", s / kHour)
                                            : fmt::format("{:.4g} days", s / kHour / 24);
  return fmt::format("{} requests over {}", t.requests, span);
}

std::string trace_evidence_name(std::string_view source) {
  std::string_view name = source.substr(source.find_last_of('/') + 1);
  const size_t ending = name.rfind('.');
  if (ending != std::string_view::npos && ending > 0) name = name.substr(0, ending);
  constexpr size_t kMaxBytes = 80;
  std::string out = "trace-";
  for (const char c : name.substr(0, kMaxBytes)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    out += plain ? c : '-';
  }
  return out;
}

}  // namespace weir::ops
