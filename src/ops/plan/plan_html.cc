// The page of plan_report.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "ops/plan/plan_report.h"
#include "plot/page.h"
#include "plot/svg_plot.h"
#include "plot/text.h"
#include "plot/tornado.h"

namespace weir::ops {
namespace {

using plot::escaped;
using plot::number_text;

constexpr double kWidth = 1032;

std::string span_text(double low, double high, const char* unit) {
  return fmt::format("{}–{} {}", number_text(low), number_text(high), unit);
}

// Line by line: escaped() takes control characters out.
std::string preformatted(std::string_view text) {
  std::string out = "<pre style=\"white-space:pre-wrap\">";
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out += escaped(text.substr(0, end)) + "\n";
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return out + "</pre>\n";
}

std::string tiles(const PlanReport& r) {
  const PlanFile& p = r.plan;
  std::string out = "<div class=\"tiles\">\n";
  out += plot::html_tile("A replica", fmt::format("{} devices", p.devices()),
                         escaped(p.accelerator_name));
  out += plot::html_tile(
      "KV cache", number_text(static_cast<double>(p.memory.kv_tokens)),
      fmt::format("tokens, {} bytes each", number_text(p.memory.kv_bytes_per_token)));
  if (p.low && p.high) {
    out += plot::html_tile("Most load", span_text(p.low->rate_per_s, p.high->rate_per_s, "/s"),
                           "of a replica, pessimistic to optimistic");
    out += plot::html_tile(
        "Replicas", fmt::format("{}–{}", p.replicas_high, p.replicas_low),
        fmt::format("for {} requests/s, {} spare", number_text(p.workload.rate_per_s), p.spare));
  }
  if (p.low_usd_per_million > 0) {
    out += plot::html_tile("Cost", span_text(p.low_usd_per_million, p.high_usd_per_million, "USD"),
                           "a million generated tokens");
  }
  return out + "</div>\n";
}

std::string memory_table(const PlanFile& p) {
  const PlanMemory& m = p.memory;
  const auto gb = [](double v) { return fmt::format("{:.1f} GB", v); };
  return plot::html_table(
      {{"Of a device", "memory"},
       {"all", gb(m.device_gb)},
       {fmt::format("for the engine ({:.0f} %)", 100 * p.memory_share), gb(m.usable_gb)},
       {fmt::format("weights, {:g} bits", p.bits_per_weight), gb(m.weights_gb)},
       {"activations and runtime (hypothesis)", gb(m.activations_gb)},
       {"KV cache", gb(m.kv_gb)}});
}

plot::Series curve(const std::vector<LoadPoint>& points, const char* name, size_t colour,
                   double LoadPoint::*field) {
  plot::Series s;
  s.name = name;
  s.colour = colour;
  s.dots = true;
  for (const LoadPoint& p : points) s.points.emplace_back(p.rate_per_s, p.*field);
  return s;
}

std::string curve_plot(const PlanReport& r, const char* title, double LoadPoint::*field,
                       double objective) {
  plot::Plot p;
  p.title = title;
  p.width = kWidth;
  p.height = 260;
  p.x = {.label = "requests/s of one replica", .log = false, .min = 0, .max = {}};
  p.y = {.label = "ms", .log = true, .min = {}, .max = {}};
  p.series = {curve(r.low_curve, "pessimistic end", 1, field),
              curve(r.high_curve, "optimistic end", 0, field)};
  if (objective > 0) p.marks.push_back({.x = {}, .y = objective, .text = "objective"});
  return plot::plot_svg(p);
}

std::string tornado(const PlanSensitivity& s) {
  if (s.devices == 0 || s.bars.empty()) return "";
  double most = s.devices;
  for (const SensitivityBar& b : s.bars) most = std::max({most, b.at_low, b.at_high});
  plot::Tornado drawn;
  drawn.title = "What moves the devices needed";
  drawn.unit = "devices";
  drawn.base = s.devices;
  drawn.width = kWidth;
  // An end at which the SLO cannot be met lies beyond all that can.
  const auto at = [most](double devices) { return devices == 0 ? 1.05 * most : devices; };
  const auto text = [](const std::string& end, double devices) {
    return devices == 0 ? end + " (cannot)" : end;
  };
  for (const SensitivityBar& b : s.bars) {
    drawn.bars.push_back({b.input, text(b.low_text, b.at_low), text(b.high_text, b.at_high),
                          at(b.at_low), at(b.at_high)});
  }
  return plot::tornado_svg(drawn);
}

std::string scale_plot(const AutoscaledFleet& a) {
  plot::Plot p;
  p.title = "Replicas over the period (spare ones not drawn)";
  p.width = kWidth;
  p.x = {.label = "minutes", .log = false, .min = 0, .max = a.period_s / 60};
  p.y = {.label = "replicas", .log = false, .min = 0, .max = {}};
  plot::Series s;
  s.area = true;
  double before = 0;
  const double begin = a.scale.empty() ? 0 : a.scale.front().at_s;
  for (const SimScale& point : a.scale) {
    const double minute = (point.at_s - begin) / 60;
    if (!s.points.empty()) s.points.emplace_back(minute, before);
    before = point.replicas;
    s.points.emplace_back(minute, before);
  }
  s.points.emplace_back(a.period_s / 60, before);
  p.series.push_back(std::move(s));
  return plot::plot_svg(p);
}

// What the found ones are laid out by.
struct FrontAxis {
  const char* title;
  const char* label;
  double SearchFound::*amount;
  bool SearchFound::*front;
};
constexpr FrontAxis kCost{"Cost", "USD a million generated tokens",
                          &SearchFound::usd_per_million_output_tokens, &SearchFound::on_front};
constexpr FrontAxis kPower{"Power", "kW of all devices", &SearchFound::kw,
                           &SearchFound::on_power_front};

std::string front_plot(const SearchResult& search, const FrontAxis& axis, bool ttft) {
  plot::Plot p;
  p.title = fmt::format("{} and {} token", axis.title, ttft ? "first" : "next");
  p.width = kWidth;
  p.height = 280;
  p.x = {.label = axis.label, .log = true, .min = {}, .max = {}};
  p.y = {.label = ttft ? "TTFT p95 (ms)" : "ITL p95 (ms)", .log = true, .min = {}, .max = {}};
  // A line that is broken after each point: dots alone.
  plot::Series all{.name = "meets the SLO", .points = {}, .colour = 5, .dots = true};
  plot::Series front{.name = "nothing beats it", .points = {}, .colour = 0, .dots = true};
  for (const SearchFound& f : search.found) {
    if (f.*axis.amount <= 0) continue;
    plot::Series& s = f.*axis.front ? front : all;
    s.points.emplace_back(f.*axis.amount, ttft ? f.load.ttft_ms_p95 : f.load.itl_ms_p95);
    s.points.emplace_back(std::nan(""), 0);
  }
  p.series = {std::move(all), std::move(front)};
  return plot::plot_svg(p);
}

std::string search_section(const SearchResult& search) {
  std::string out = fmt::format(
      "<h2>Across hardware</h2>\n<p class=\"soft\">{} combinations of accelerator, devices and "
      "bits: {} meet the SLO, {} hold too little, {} are too slow. Efficiencies are the middle of "
      "the range; without a fit that is a hypothesis.</p>\n",
      search.tried, search.found.size(), search.too_small, search.too_slow);
  const bool priced = std::any_of(search.found.begin(), search.found.end(),
                                  [](const SearchFound& f) { return f.on_front; });
  for (const bool ttft : {true, false}) {
    if (priced) out += front_plot(search, kCost, ttft);
    out += front_plot(search, kPower, ttft);
  }
  std::vector<std::vector<std::string>> rows = {{"Nothing beats it", "in", "devices", "bits",
                                                 "replicas", "TTFT p95", "ITL p95", "USD/M tokens",
                                                 "kW"}};
  for (const SearchFound& f : search.found) {
    if (!f.on_front && !f.on_power_front) continue;
    rows.push_back({escaped(f.accelerator->name),
                    f.on_front && f.on_power_front ? "cost, power"
                    : f.on_front                   ? "cost"
                                                   : "power",
                    fmt::format("{}", f.devices), fmt::format("{:.3g}", f.weights.bits),
                    fmt::format("{}", f.replicas), number_text(f.load.ttft_ms_p95) + " ms",
                    number_text(f.load.itl_ms_p95) + " ms",
                    f.usd_per_million_output_tokens > 0
                        ? fmt::format("{:.2f}", f.usd_per_million_output_tokens)
                        : "-",
                    f.kw > 0 ? number_text(f.kw) : "-"});
  }
  return out + plot::html_table(rows);
}

std::string section(const PlanReport& r) {
  const PlanFile& p = r.plan;
  std::string out =
      fmt::format("<h2>{}{} × {}</h2>\n", r.name.empty() ? "" : escaped(r.name) + ": ", p.devices(),
                  escaped(p.accelerator_name));
  out +=
      fmt::format("<p class=\"soft\">Rates of the device {}; what of them is reached is {}.</p>\n",
                  p.accelerator == kThisMachine ? "were measured when this was made"
                  : p.rates_verified            ? "were read at their sources"
                                                : "were in part not read again",
                  p.evidence_class == "fitted" ? "fitted to measurements"
                                               : "a hypothesis, so there are two ends");
  out += tiles(r) + memory_table(p);
  if (!r.low_curve.empty()) {
    out += curve_plot(r, "First token, p95", &LoadPoint::ttft_ms_p95, p.slo.ttft_ms_p95);
    out += curve_plot(r, "Next token, p95", &LoadPoint::itl_ms_p95, p.slo.itl_ms_p95);
  }
  if (r.sensitivity) out += tornado(*r.sensitivity);
  if (r.autoscaled) out += scale_plot(*r.autoscaled);
  PlanReport fleet = r;
  fleet.sensitivity.reset();
  return out + preformatted(plan_text(fleet));
}

}  // namespace

std::string plan_html(const std::vector<PlanReport>& reports, const SearchResult* search) {
  std::string body;
  std::string title = "Plan";
  if (!reports.empty()) {
    const PlanFile& p = reports.front().plan;
    title = fmt::format("Plan: {}", p.model_name.empty() ? p.model_source : p.model_name);
    body += fmt::format(
        "<p class=\"soft\">{} billion weights of {:g} bits; {} requests/s of {} and {} tokens at "
        "the median; made on {}.</p>\n",
        number_text(p.parameters / 1e9), p.bits_per_weight, number_text(p.workload.rate_per_s),
        number_text(p.workload.prompt_p50), number_text(p.workload.output_p50), p.created);
  }
  body = fmt::format("<h1>{}</h1>\n", escaped(title)) + body;
  for (const PlanReport& r : reports) body += section(r);
  if (reports.size() > 1) body += "<h2>Side by side</h2>\n" + preformatted(what_if_text(reports));
  if (search != nullptr) body += search_section(*search);
  return plot::html_page(title, body);
}

}  // namespace weir::ops
