// The page of cost_report.h.
#include <fmt/format.h>

#include <algorithm>

#include "ops/cost/cost_report.h"
#include "plot/page.h"
#include "plot/svg_plot.h"
#include "plot/text.h"
#include "plot/tornado.h"

namespace weir::ops {
namespace {

using plot::escaped;

constexpr double kWidth = 1032;
constexpr int kSteps = 60;

std::string n(double v) { return cost_number(v); }

std::string stale_mark(bool stale) {
  return stale ? " <span class=\"tag\">stale prices</span>" : "";
}

std::string section_table(const CostSection& s) {
  std::vector<std::vector<std::string>> rows = {{"", "value", "unit", "how"}};
  for (const CostRow& r : s.rows) {
    rows.push_back({escaped(r.name), r.value ? n(*r.value) : "–", r.value ? escaped(r.unit) : "",
                    "<span class=\"said\">" + escaped(r.how) + "</span>"});
  }
  return fmt::format("<h2>{}{}</h2>\n", escaped(s.title), stale_mark(s.stale)) +
         plot::html_table(rows);
}

std::string tornado(const CostTornado& t) {
  plot::Tornado drawn;
  drawn.title = t.title;
  drawn.unit = "USD";
  drawn.base = t.base_usd;
  drawn.width = kWidth;
  for (const Swing& s : t.swings)
    drawn.bars.push_back({std::string(s.input->name), n(s.low), n(s.high), s.usd_low, s.usd_high});
  return fmt::format("<h2>Sensitivity{}</h2>\n", stale_mark(t.stale)) + plot::tornado_svg(drawn) +
         "<p class=\"soft\">Each input alone, over the range that was told or by 20 % each way; "
         "blue: its "
         "low end.</p>\n";
}

// A request's cost over the hit rate, against no caching.
std::string hit_rate_plot(const CostInputs& in) {
  const TokenPrices p = large_prices(in);
  if (p.cached >= p.input) return "";
  plot::Plot drawn;
  drawn.title = "A request by hit rate";
  drawn.width = kWidth;
  drawn.x = {.label = "hit rate of the prefix (%)", .log = false, .min = 0, .max = 100};
  drawn.y = {.label = "USD", .log = false, .min = {}, .max = {}};
  plot::Series with{.name = "cached", .points = {}, .colour = 0};
  plot::Series without{.name = "not cached", .points = {}, .colour = 1, .dashed = true};
  for (int i = 1; i <= kSteps; ++i) {
    const double h = static_cast<double>(i) / kSteps;
    with.points.emplace_back(100 * h, request_usd(in, p, h));
    without.points.emplace_back(100 * h, request_usd(in, p, 0));
  }
  drawn.series = {std::move(with), std::move(without)};
  if (const auto h = break_even_hit_rate(p))
    drawn.marks.push_back({.x = 100 * *h, .y = {}, .text = "break-even"});
  return plot::plot_svg(drawn);
}

// Hosted and one's own over the load.
std::string load_plot(const CostInputs& in) {
  const double most = in.replicas * in.replica_requests_per_s * 86'400;
  if (!(most > 0)) return "";
  plot::Plot drawn;
  drawn.title = "A request by load";
  drawn.width = kWidth;
  drawn.x = {.label = "utilisation of the fleet (%)", .log = false, .min = 0, .max = 100};
  drawn.y = {.label = "USD", .log = true, .min = {}, .max = {}};
  plot::Series own{.name = "one's own", .points = {}, .colour = 0};
  plot::Series api{.name = "hosted", .points = {}, .colour = 1, .dashed = true};
  for (int i = 1; i <= kSteps; ++i) {
    CostInputs at = in;
    at.requests_per_day = most * i / kSteps / (1 + in.redo_share);
    const double share = 100.0 * i / kSteps;
    own.points.emplace_back(share, self_hosted_usd(at));
    api.points.emplace_back(share, hosted_usd(at));
  }
  drawn.series = {std::move(own), std::move(api)};
  if (const auto u = break_even_utilisation(in))
    drawn.marks.push_back({.x = 100 * *u, .y = {}, .text = "break-even"});
  return plot::plot_svg(drawn);
}

std::string prices_table(const CostCase& c) {
  if (c.prices.empty()) return "";
  std::vector<std::vector<std::string>> rows = {
      {"Price", "source", "date", "days old", "", "note"}};
  for (const PriceUse& p : c.prices) {
    rows.push_back({escaped(p.what), escaped(p.source), escaped(p.date),
                    fmt::format("{}", p.age_days),
                    fmt::format("{}{}", p.stale ? "stale " : "", p.verified ? "" : "unverified"),
                    "<span class=\"said\">" + escaped(p.note) + "</span>"});
  }
  return "<h2>Prices</h2>\n" + plot::html_table(rows);
}

std::string inputs_table(const CostCase& c) {
  std::vector<std::vector<std::string>> rows = {{"Input", "value", "unit", "from"}};
  for (const auto& [name, origin] : c.origins) {
    const CostInput* input = find_cost_input(name);
    rows.push_back(
        {escaped(name), n(c.in.*(input->member)), escaped(input->unit), escaped(origin)});
  }
  return "<h2>Inputs</h2>\n" + plot::html_table(rows);
}

}  // namespace

std::string cost_html(const CostReport& r) {
  std::string body = "<h1>Cost</h1>\n";
  for (const std::string& note : r.made.notes)
    body += fmt::format("<p class=\"soft\">{}.</p>\n", escaped(note));
  for (const CostSection& s : r.sections) {
    body += section_table(s);
    if (s.id == "caching") body += hit_rate_plot(r.made.in);
    if (s.id == "self_host_or_hosted") body += load_plot(r.made.in);
  }
  for (const CostTornado& t : r.tornadoes) body += tornado(t);
  return plot::html_page("Cost", body + prices_table(r.made) + inputs_table(r.made));
}

}  // namespace weir::ops
