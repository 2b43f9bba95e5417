#include "bench/report/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace weir::bench {
namespace {

std::optional<size_t> find_knee(const std::vector<SweepPoint>& points) {
  std::vector<size_t> order;
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i].latency_ms > 0 && std::isfinite(points[i].latency_ms)) order.push_back(i);
  }
  if (order.size() < 4) return std::nullopt;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return points[a].latency_ms < points[b].latency_ms; });
  const double x0 = points[order.front()].latency_ms;
  const double x1 = points[order.back()].latency_ms;
  double y0 = points[order.front()].throughput;
  double y1 = y0;
  for (const size_t i : order) {
    y0 = std::min(y0, points[i].throughput);
    y1 = std::max(y1, points[i].throughput);
  }
  if (!(x1 > x0) || !(y1 > y0)) return std::nullopt;
  std::optional<size_t> best;
  double highest = Sweep::kMinKneeHeight;
  for (const size_t i : order) {
    const double above =
        (points[i].throughput - y0) / (y1 - y0) - (points[i].latency_ms - x0) / (x1 - x0);
    if (above > highest) {
      highest = above;
      best = i;
    }
  }
  return best;
}

void find_slo_limit(Sweep& sweep, const Slo& slo) {
  const std::vector<SweepPoint>& p = sweep.points;
  size_t held = 0;
  while (held < p.size() && p[held].meets_slo) ++held;
  if (held == 0) return;
  sweep.highest_within_slo = held - 1;
  sweep.slo_load = p[held - 1].load;
  if (held == p.size()) return;
  const double drop = p[held - 1].slo_share - p[held].slo_share;
  const double part = drop > 0 ? (p[held - 1].slo_share - slo.share) / drop : 0;
  sweep.slo_load += std::clamp(part, 0.0, 1.0) * (p[held].load - p[held - 1].load);
}

std::string note_of(const Sweep& s, const std::vector<LoadSummary>& runs, const Slo& slo) {
  std::string out;
  if (s.knee.has_value()) {
    const SweepPoint& k = s.points[*s.knee];
    out = fmt::format("Knee at {}: {:.0f} output tokens/s at a p95 latency of {:.0f} ms.",
                      runs[k.run].label, k.throughput, k.latency_ms);
  } else {
    out = s.points.size() < 4
              ? "No knee: it takes at least 4 loads."
              : "No knee: throughput and latency rise alike over these loads; try higher ones.";
  }
  if (!slo.any()) return out;
  if (!s.highest_within_slo.has_value()) return out + " Not even the lowest load meets the SLO.";
  const SweepPoint& h = s.points[*s.highest_within_slo];
  out += fmt::format(" Highest load that meets the SLO: {}", runs[h.run].label);
  if (*s.highest_within_slo + 1 == s.points.size()) return out + ", the highest tried.";
  return out + fmt::format("; by interpolation the SLO holds up to a load of {:.2f}.", s.slo_load);
}

}  // namespace

Sweep find_sweep(const std::vector<LoadSummary>& runs, const Slo& slo) {
  Sweep sweep;
  if (runs.size() < 2) return sweep;
  for (size_t i = 0; i < runs.size(); ++i) {
    const LoadSummary& r = runs[i];
    const Distribution& latency = r.ttft_ms.count > 0 ? r.ttft_ms : r.e2e_ms;
    sweep.points.push_back(
        {.run = i,
         .load = r.offered_per_s > 0 ? r.offered_per_s : r.concurrency,
         .throughput = r.output_tokens_per_s.known() ? r.output_tokens_per_s.value : 0,
         .latency_ms = latency.count > 0 ? latency.p95().value : 0,
         .slo_share = r.goodput.share.known() ? r.goodput.share.value : 0,
         .meets_slo = slo.any() && r.goodput.met});
  }
  std::stable_sort(sweep.points.begin(), sweep.points.end(),
                   [](const SweepPoint& a, const SweepPoint& b) { return a.load < b.load; });
  sweep.knee = find_knee(sweep.points);
  if (slo.any()) find_slo_limit(sweep, slo);
  sweep.note = note_of(sweep, runs, slo);
  return sweep;
}

std::vector<double> sweep_loads(double low, double high, int count) {
  std::vector<double> out;
  out.reserve(static_cast<size_t>(std::max(count, 0)));
  for (int i = 0; i < count; ++i)
    out.push_back(i == 0 ? low : low * std::pow(high / low, static_cast<double>(i) / (count - 1)));
  return out;
}

}  // namespace weir::bench
