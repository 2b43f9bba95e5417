// The part of a page that a sweep adds.
#include <fmt/format.h>

#include <cmath>

#include "bench/report/format.h"
#include "bench/report/html_parts.h"
#include "plot/svg_plot.h"

namespace weir::bench {
namespace {

// Latency against throughput, the way that a rising load draws it.
std::string hockey_stick(const Report& report) {
  plot::Plot p;
  p.title = "Latency against throughput";
  p.width = 510;
  p.height = 330;
  p.x.label = "output tokens/s";
  p.y.label = "TTFT (ms)";
  p.y.log = true;
  plot::Series p95{.name = "p95", .points = {}, .colour = 0, .dots = true};
  plot::Series p50{.name = "p50", .points = {}, .colour = 5, .dots = true};
  for (const SweepPoint& point : report.sweep.points) {
    const Distribution& d = report.runs[point.run].ttft_ms;
    p95.points.emplace_back(point.throughput, point.latency_ms);
    if (d.count > 0) p50.points.emplace_back(point.throughput, d.p50().value);
  }
  p.series = {std::move(p50), std::move(p95)};
  const auto mark = [&](const std::optional<size_t>& at, const char* what) {
    if (!at.has_value()) return;
    const SweepPoint& point = report.sweep.points[*at];
    p.marks.push_back({point.throughput, point.latency_ms,
                       fmt::format("{}: {}", what, report.runs[point.run].label)});
  };
  const Sweep& s = report.sweep;
  if (s.knee == s.highest_within_slo) {
    mark(s.knee, "knee, highest in SLO");
  } else {
    mark(s.knee, "knee");
    mark(s.highest_within_slo, "highest in SLO");
  }
  if (report.slo.ttft_ms > 0) p.marks.push_back({{}, report.slo.ttft_ms, "SLO ttft"});
  return plot::plot_svg(p);
}

// Throughput against load, beside the share within the SLO or, without one, what ended well.
std::string against_load(const Report& report) {
  plot::Plot p;
  p.title = report.slo.any() ? "Requests within the SLO" : "Output against load";
  p.width = 510;
  p.height = 330;
  const bool open = !report.runs.empty() && report.runs.front().offered_per_s > 0;
  p.x.label = open ? "offered requests/s" : "requests at once";
  p.y.label = report.slo.any() ? "share (%)" : "output tokens/s";
  if (report.slo.any()) p.y.max = 100;
  plot::Series s{.name = "", .points = {}, .colour = 2, .area = true, .dots = true};
  for (const SweepPoint& point : report.sweep.points)
    s.points.emplace_back(point.load, report.slo.any() ? point.slo_share * 100 : point.throughput);
  p.series.push_back(std::move(s));
  p.x.min = 0;
  if (report.slo.any()) p.marks.push_back({{}, report.slo.share * 100, "wanted"});
  if (report.sweep.slo_load > 0)
    p.marks.push_back({report.sweep.slo_load, {}, number_text(report.sweep.slo_load)});
  return plot::plot_svg(p);
}

std::string table(const Report& report) {
  std::vector<std::vector<std::string>> rows = {{"Run", "req/s", "output tok/s", "TTFT p50, ms",
                                                 "TTFT p95, ms", "ITL p50, ms", "ITL p95, ms",
                                                 "E2E p95, ms", "refused", "failed", "in SLO"}};
  for (size_t i = 0; i < report.sweep.points.size(); ++i) {
    const SweepPoint& p = report.sweep.points[i];
    const LoadSummary& r = report.runs[p.run];
    std::string tags;
    if (report.sweep.knee == i) tags += " <span class=\"tag\">knee</span>";
    if (report.sweep.highest_within_slo == i) tags += " <span class=\"tag\">highest in SLO</span>";
    const std::string name = escaped(r.label) + (tags.empty() ? "" : "<small>" + tags + "</small>");
    rows.push_back({name, html_estimate(r.requests_per_s), html_estimate(r.output_tokens_per_s),
                    html_estimate(r.ttft_ms.p50()), html_estimate(r.ttft_ms.p95()),
                    html_estimate(r.itl_ms.p50()), html_estimate(r.itl_ms.p95()),
                    html_estimate(r.e2e_ms.p95()), count_text(r.refused), count_text(r.failed),
                    report.slo.any() ? percent_text(p.slo_share) : "–"});
  }
  return html_table(rows);
}

}  // namespace

std::string sweep_html(const Report& report) {
  const char* tone = !report.slo.any()                             ? ""
                     : report.sweep.highest_within_slo.has_value() ? " good"
                                                                   : " bad";
  std::string out =
      fmt::format("<div class=\"verdict{}\"><b>{}</b>{}</div>\n", tone, escaped(report.sweep.note),
                  report.slo.any() ? "SLO: " + escaped(slo_text(report.slo)) : "");
  out += "<div class=\"two\">\n" + hockey_stick(report) + against_load(report) + "</div>\n";
  std::vector<Curve> ttft;
  std::vector<Curve> itl;
  for (const SweepPoint& p : report.sweep.points) {
    const LoadSummary& r = report.runs[p.run];
    // As many as there are colours, the highest loads.
    if (report.sweep.points.size() - static_cast<size_t>(&p - report.sweep.points.data()) >
        plot::kSeriesColours)
      continue;
    ttft.push_back({r.label, &r.ttft_ms});
    itl.push_back({r.label, &r.itl_ms});
  }
  out += "<h2>Runs</h2>\n" + table(report) + "<h2>Distributions by run</h2>\n<div class=\"two\">\n";
  out += cdf_svg("TTFT", "ms", ttft, report.slo.ttft_ms, 510);
  out += cdf_svg("Inter-token latency", "ms", itl, 0, 510);
  return out + "</div>\n<h2>Each run</h2>\n";
}

}  // namespace weir::bench
