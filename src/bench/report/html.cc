#include "bench/report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/report/format.h"
#include "bench/report/html_parts.h"
#include "bench/report/svg_bars.h"
#include "plot/svg_plot.h"

namespace weir::bench {
namespace {

std::string verdict(const LoadSummary& run) {
  const std::string text = slo_verdict(run);
  if (text.empty()) return "";
  const Goodput& g = run.goodput;
  std::string broke;
  const auto say = [&](int64_t n, const char* what) {
    if (n > 0) broke += fmt::format("{}{} {}", broke.empty() ? "" : ", ", count_text(n), what);
  };
  say(g.not_ok, "refused or failed");
  say(g.broke_ttft, "over the TTFT bound");
  say(g.broke_itl, "over the ITL bound");
  say(g.broke_tpot, "over the TPOT bound");
  say(g.broke_e2e, "over the end-to-end bound");
  return fmt::format(
      "<div class=\"verdict {}\"><b>{}</b>Goodput {} requests/s and {} output tokens/s; 95 % "
      "interval of the share {} to {}.{}</div>\n",
      g.met ? "good" : "bad", escaped(text), number_text(g.requests_per_s.value),
      number_text(g.output_tokens_per_s.value), percent_text(g.share.low),
      percent_text(g.share.high),
      broke.empty()
          ? ""
          : fmt::format(" Of {} requests not within: {}.", count_text(run.requests), broke));
}

std::string between(const Estimate& e) {
  const std::string text = interval_text(e);
  return text.empty() ? "" : "95 %: " + text;
}

std::string tiles(const LoadSummary& run) {
  std::string out = "<div class=\"tiles\">\n";
  out += html_tile("Output", number_text(run.output_tokens_per_s.value) + " tok/s",
                   between(run.output_tokens_per_s));
  out += html_tile("Requests ended well", number_text(run.requests_per_s.value) + " req/s",
                   fmt::format("{} of {}", count_text(run.ok), count_text(run.requests)));
  const auto latency = [&](const char* name, const Distribution& d, const Estimate& e) {
    if (d.count > 0) out += html_tile(name, ms_text(e.value), between(e));
  };
  latency("TTFT p50", run.ttft_ms, run.ttft_ms.p50());
  latency("TTFT p95", run.ttft_ms, run.ttft_ms.p95());
  latency("ITL p50", run.itl_ms, run.itl_ms.p50());
  latency("ITL p95", run.itl_ms, run.itl_ms.p95());
  latency("End to end p95", run.e2e_ms, run.e2e_ms.p95());
  if (!std::isnan(run.cached_share)) {
    out += html_tile("Prompt from cache", percent_text(run.cached_share),
                     fmt::format("of {} tokens", count_text(run.prompt_tokens)));
  }
  out += html_tile("In flight", fmt::format("{} mean", number_text(run.mean_in_flight)),
                   fmt::format("at most {}", run.peak_in_flight));
  out += html_tile("Refused", count_text(run.refused),
                   run.refusal_ms.count > 0 ? "p99 after " + ms_text(run.refusal_ms.p99().value)
                                            : "of " + count_text(run.requests));
  out += html_tile("Failed", count_text(run.failed), "of " + count_text(run.requests));
  return out + "</div>\n";
}

std::string latency_table(const LoadSummary& run) {
  std::vector<std::vector<std::string>> rows = {
      {"ms", "mean", "p50", "p90", "p95", "p99", "p99.9", "min", "max", "count"}};
  for (const LatencyRow& row : latency_rows(run)) {
    const Distribution& d = *row.values;
    std::vector<std::string> cells = {fmt::format("{}<small>{}</small>", row.name, row.meaning),
                                      html_estimate(d.mean)};
    for (const Estimate& q : d.quantiles) cells.push_back(html_estimate(q));
    cells.insert(cells.end(), {number_text(d.min), number_text(d.max), count_text(d.count)});
    rows.push_back(std::move(cells));
  }
  return "<h2>Latencies</h2>\n" + html_table(rows) +
         "<p class=\"soft\">Below each value its 95 % interval; “?”: too few requests "
         "for a bound. Of requests that ended well, but for refusals and send lag.</p>\n";
}

std::string curves(const LoadSummary& run) {
  constexpr double kWidth = 360;
  std::string out = "<h2>Distributions</h2>\n<div class=\"three\">\n";
  out += cdf_svg("Time to first token", "ms", {{"", &run.ttft_ms}}, run.slo.ttft_ms, kWidth);
  out += cdf_svg("Inter-token latency", "ms", {{"", &run.itl_ms}}, 0, kWidth);
  out += cdf_svg("End to end", "ms", {{"", &run.e2e_ms}}, run.slo.e2e_ms, kWidth);
  return out + "</div>\n";
}

plot::Series series_of(const char* name, const std::vector<double>& values, double bin_s,
                       size_t colour, bool area) {
  plot::Series s;
  s.name = name;
  s.colour = colour;
  s.area = area;
  for (size_t i = 0; i < values.size(); ++i)
    s.points.emplace_back((static_cast<double>(i) + 0.5) * bin_s, values[i]);
  return s;
}

bool any_above_zero(const std::vector<double>& v) {
  return std::any_of(v.begin(), v.end(), [](double x) { return x > 0; });
}

std::string timeline(const LoadSummary& run) {
  const Timeline& t = run.timeline;
  if (t.in_flight.empty()) return "";
  const double end = t.bin_s * static_cast<double>(t.in_flight.size());
  std::string out = fmt::format(
      "<h2>Over time</h2>\n<p class=\"soft\">Bins of {} s. Steady state: {}. What lies outside it "
      "is shaded.</p>\n",
      number_text(t.bin_s), escaped(run.steady.how));
  const auto panel = [&](const char* title, const char* unit, std::vector<plot::Series> series) {
    plot::Plot p;
    p.title = title;
    p.width = 1032;
    p.height = 170;
    p.x.label = "time in the run (s)";
    p.x.min = 0;
    p.x.max = end;
    p.y.label = unit;
    p.series = std::move(series);
    const SteadyState& s = run.steady;
    if (s.found) p.shaded = {{0, s.begin_s}, {s.end_s, end}};
    out += plot::plot_svg(p);
  };
  panel("Requests in flight", "requests", {series_of("", t.in_flight, t.bin_s, 0, true)});
  panel("Output tokens per second", "tokens/s",
        {series_of("", t.output_tokens_per_s, t.bin_s, 2, true)});
  panel("TTFT of the requests sent then, mean", "ms",
        {series_of("", t.ttft_ms, t.bin_s, 3, false)});
  std::vector<plot::Series> load = {series_of("intended", t.arrivals_per_s, t.bin_s, 5, false)};
  if (any_above_zero(t.refusals_per_s))
    load.push_back(series_of("refused", t.refusals_per_s, t.bin_s, 1, true));
  if (any_above_zero(t.errors_per_s))
    load.push_back(series_of("failed", t.errors_per_s, t.bin_s, 4, true));
  panel("Arrivals, refusals and failures", "per s", std::move(load));
  return out;
}

std::string errors(const LoadSummary& run) {
  if (run.errors.empty()) return "";
  std::vector<std::vector<std::string>> rows = {{"What", "count", "share", "first at", "said"}};
  for (const ErrorClass& e : run.errors) {
    rows.push_back({escaped(error_name(e)), count_text(e.count),
                    percent_text(static_cast<double>(e.count) /
                                 static_cast<double>(std::max<int64_t>(run.requests, 1))),
                    number_text(e.first_s) + " s",
                    "<span class=\"said\">" + escaped(e.message) + "</span>"});
  }
  if (run.errors_not_listed > 0)
    rows.push_back({"further kinds", count_text(run.errors_not_listed), "", "", ""});
  std::string out = "<h2>Not ended well</h2>\n" + html_table(rows);
  if (run.retry_after_s.count > 0) {
    out +=
        fmt::format("<p class=\"soft\">Retry-After of refusals: median {} s, longest {} s.</p>\n",
                    number_text(run.retry_after_s.p50().value), number_text(run.retry_after_s.max));
  }
  return out;
}

std::string groups(const LoadSummary& run) {
  if (run.groups.size() < 2) return "";
  std::vector<std::vector<std::string>> rows = {{"Group", "requests", "ended well", "refused",
                                                 "TTFT p50, ms", "TTFT p95, ms", "output tok/s",
                                                 "in SLO"}};
  for (const GroupSummary& g : run.groups) {
    rows.push_back({fmt::format("{}", g.group), count_text(g.requests), count_text(g.ok),
                    count_text(g.refused), html_estimate(g.ttft_ms.p50()),
                    html_estimate(g.ttft_ms.p95()), number_text(g.output_tokens_per_s),
                    run.slo.any() ? percent_text(g.slo_share) : "–"});
  }
  return "<details><summary>Groups</summary>\n" + html_table(rows) + "</details>\n";
}

std::string settings(const std::map<std::string, std::string>& values) {
  if (values.empty()) return "";
  std::string out = "<h2>Settings</h2>\n<dl>\n";
  for (const auto& [key, value] : values)
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(key), escaped(value));
  return out + "</dl>\n";
}

std::string run_body(const LoadSummary& run) {
  return verdict(run) + tiles(run) + latency_table(run) + curves(run) + timeline(run) +
         "<h2>Waterfall</h2>\n" + waterfall_svg(run.samples, 1032) + errors(run) + groups(run);
}

std::string run_settings(const Report& report, const LoadSummary& run) {
  // Those of the whole stand at the end of the page.
  std::map<std::string, std::string> own = run.settings;
  for (const auto& [key, value] : report.settings) {
    if (const auto it = own.find(key); it != own.end() && it->second == value) own.erase(it);
  }
  return settings(own);
}

}  // namespace

std::string report_html(const Report& report) {
  const std::string title = report_title(report);
  std::string body = fmt::format("<h1>{}</h1>\n<p class=\"soft\">", escaped(title));
  if (report.runs.size() == 1)
    body += fmt::format("{}, {} s. ", escaped(load_text(report.runs[0])),
                        number_text(report.runs[0].duration_s));
  body += escaped(report.created) + "</p>\n";
  if (report.runs.size() > 1) body += sweep_html(report);
  for (const LoadSummary& run : report.runs) {
    if (report.runs.size() == 1) {
      body += run_body(run) + run_settings(report, run);
      break;
    }
    body += fmt::format(
        "<details><summary>{}<span class=\"soft\">{}; {} output tok/s, TTFT p95 {}</span></summary>"
        "\n{}{}</details>\n",
        escaped(run.label), escaped(load_text(run)), number_text(run.output_tokens_per_s.value),
        ms_text(run.ttft_ms.p95().value), run_body(run), run_settings(report, run));
  }
  body += settings(report.settings);
  body +=
      "<footer>weir bench load. Latencies count from the intended time of sending. Intervals: "
      "bootstrap over requests, in blocks.</footer>";
  return html_page(title, body);
}

}  // namespace weir::bench
