// The page of report.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <set>

#include "gateway/state/calendar.h"
#include "gateway/state/prices.h"
#include "gateway/state/report.h"
#include "gateway/state/report_parts.h"
#include "plot/page.h"
#include "plot/svg_plot.h"
#include "plot/text.h"

namespace weir::gateway {
namespace {

using plot::escaped;

constexpr double kWidth = 1032;
constexpr size_t kMostRows = 200;  // of the table
constexpr int64_t kMillion = 1'000'000;

std::string shown(const std::string& value) { return value.empty() ? "–" : value; }

std::string name_of(const CostGroup& g) {
  std::string out;
  for (const std::string& k : g.key) out += (out.empty() ? "" : ", ") + shown(k);
  return out;
}

// "24.0 M": the exact counts are in the text and the JSON.
std::string tokens_text(int64_t n) {
  return n < kMillion ? plot::count_text(n)
                      : plot::number_text(static_cast<double>(n) / kMillion) + " M";
}

// Two digits that count at least, without an exponent: "0.0017".
std::string short_money(double v) {
  constexpr double kSmall = 0.01;
  constexpr int kMostDecimals = 9;  // of the ledger
  if (v <= 0 || v >= kSmall) return plot::number_text(v);
  const int decimals = 1 - static_cast<int>(std::floor(std::log10(v)));
  return fmt::format("{:.{}f}", v, std::min(decimals, kMostDecimals));
}

// Of a thousand, where one costs less than people have words for; "–" when there is none.
std::string per_thousand(std::optional<double> nanos) {
  return nanos ? short_money(1000 * *nanos / static_cast<double>(kNanosPerUnit)) : "–";
}

std::optional<double> nanos_per_request(const CostGroup& g) {
  if (g.requests == 0) return std::nullopt;
  return static_cast<double>(g.cost_nanos) / static_cast<double>(g.requests);
}

// Money by day, a line for each of the dearest values of the first dimension.
std::string daily_plot(const LedgerReport& report) {
  std::map<std::string, int64_t> sums;
  std::set<int64_t> days;
  for (const auto& [key, nanos] : report.daily) {
    sums[key.second] += nanos;
    days.insert(key.first);
  }
  if (days.size() < 2) return "";
  std::vector<std::pair<int64_t, std::string>> order;
  order.reserve(sums.size());
  for (const auto& [name, nanos] : sums) order.emplace_back(-nanos, name);
  std::sort(order.begin(), order.end());
  const size_t drawn_lines = std::min(order.size(), plot::kSeriesColours);
  plot::Plot drawn;
  drawn.title = "Cost by day";
  if (drawn_lines < order.size())
    drawn.title += fmt::format(", the {} dearest of {}", drawn_lines, order.size());
  drawn.width = kWidth;
  drawn.x = {.label = "days since " + day_text_of(static_cast<int32_t>(*days.begin())),
             .log = false,
             .min = {},
             .max = {}};
  drawn.y = {.label = report.currency, .log = false, .min = 0, .max = {}};
  for (size_t i = 0; i < drawn_lines; ++i) {
    plot::Series line{.name = shown(order[i].second), .points = {}, .colour = i};
    for (int64_t day = *days.begin(); day <= *days.rbegin(); ++day) {
      const auto it = report.daily.find({day, order[i].second});
      line.points.emplace_back(static_cast<double>(day - *days.begin()),
                               it == report.daily.end() ? 0 : money_number(it->second));
    }
    drawn.series.push_back(std::move(line));
  }
  return plot::plot_svg(drawn);
}

// Cost of a request against p95, a dot for each group.
std::string trade_plot(const LedgerReport& report) {
  plot::Plot drawn;
  drawn.title = "Cost of a request against latency";
  if (report.groups.size() > plot::kSeriesColours)
    drawn.title += fmt::format(", the first {} groups", plot::kSeriesColours);
  drawn.width = kWidth;
  drawn.height = 280;  // its legend may need lines
  drawn.y = {.label = report.currency + " per 1,000 requests", .log = false, .min = 0, .max = {}};
  double longest_ms = 0;
  for (const CostGroup& g : report.groups)
    longest_ms = std::max(longest_ms, g.total_ms.at(0.95).value_or(0));
  const bool seconds = longest_ms >= 1000;
  const double unit_ms = seconds ? 1000 : 1;
  for (const CostGroup& g : report.groups) {
    const auto p95_ms = g.total_ms.at(0.95);
    const auto nanos = nanos_per_request(g);
    if (!p95_ms || !nanos || drawn.series.size() >= plot::kSeriesColours) continue;
    drawn.series.push_back(
        {.name = name_of(g),
         .points = {{*p95_ms / unit_ms, 1000 * *nanos / static_cast<double>(kNanosPerUnit)}},
         .colour = drawn.series.size(),
         .dots = true});
  }
  // From zero and with some air, so that near dots look near and none is on the frame.
  constexpr double kAir = 1.05;
  drawn.x = {.label = fmt::format("p95 of the whole answer ({})", seconds ? "s" : "ms"),
             .log = false,
             .min = 0,
             .max = longest_ms / unit_ms * kAir};
  return drawn.series.size() < 2 ? "" : plot::plot_svg(drawn);
}

// A cell, with smaller lines below its text.
std::string cell(const std::string& text, const std::vector<std::string>& below = {}) {
  std::string out = "<td>" + escaped(text);
  for (const std::string& line : below)
    if (!line.empty()) out += "<small>" + escaped(line) + "</small>";
  return out + "</td>";
}

std::string times(const LatencySketch& s,
                  std::initializer_list<std::pair<const char*, double>> more) {
  const auto p50 = s.at(0.5);
  if (!p50) return cell("–");
  std::vector<std::string> below;
  for (const auto& [name, share] : more)
    below.push_back(fmt::format("{} {}", name, plot::ms_text(*s.at(share))));
  return cell(plot::ms_text(*p50), below);
}

// key: the first one, and smaller the others, so that the row stays on the page.
std::string row(const LedgerReport& report, const CostGroup& g,
                const std::vector<std::string>& key) {
  std::string out = "<tr>" + cell(key[0], {key.begin() + 1, key.end()});
  out += cell(plot::count_text(g.requests),
              {g.attempts == g.requests ? "" : plot::count_text(g.attempts) + " attempts"});
  out += cell(g.requests == 0 ? "–" : plot::percent_text(g.ok_share()));
  out += cell(tokens_text(g.input_tokens),
              {g.cached_tokens == 0 ? "" : plot::percent_text(g.cached_share()) + " cached"});
  out += cell(tokens_text(g.output_tokens));
  const auto all = static_cast<double>(report.all.cost_nanos);
  const bool part = &g != &report.all && all > 0;
  out +=
      cell(short_money(money_number(g.cost_nanos)) + (g.unpriced > 0 ? "*" : ""),
           {part ? plot::percent_text(static_cast<double>(g.cost_nanos) / all) + " of all" : ""});
  out += cell(per_thousand(nanos_per_request(g)));
  out += cell(per_thousand(g.nanos_per_accepted()),
              {g.reported == 0 ? ""
                               : fmt::format("{} of {}", plot::count_text(g.accepted),
                                             plot::count_text(g.reported))});
  out += times(g.ttft_ms, {{"p95", 0.95}});
  out += times(g.total_ms, {{"p95", 0.95}, {"p99", 0.99}});
  return out + "</tr>\n";
}

std::string names_of(const std::vector<CostDimension>& by) {
  std::string out;
  for (const CostDimension d : by)
    out += (out.empty() ? "" : ", ") + std::string(cost_dimension_name(d));
  return out;
}

std::string table(const LedgerReport& report) {
  std::string out = R"(<div class="wide"><table><tr>)";
  for (const std::string& name :
       {names_of(report.by), std::string("requests"), std::string("ok"),
        std::string("input tokens"), std::string("output"), "cost " + report.currency,
        std::string("1,000 requests"), std::string("1,000 accepted"), std::string("first byte"),
        std::string("whole answer")})
    out += "<th>" + escaped(name) + "</th>";
  out += "</tr>\n";
  for (size_t i = 0; i < std::min(report.groups.size(), kMostRows); ++i) {
    std::vector<std::string> key;
    for (const std::string& k : report.groups[i].key) key.push_back(shown(k));
    out += row(report, report.groups[i], key);
  }
  return out + row(report, report.all, {"all"}) + "</table></div>\n";
}

std::string tiles(const LedgerReport& r) {
  const auto p95 = r.all.total_ms.at(0.95);
  const auto money = [&](std::string amount) { return std::move(amount) + " " + r.currency; };
  std::string out = "<div class=\"tiles\">";
  out +=
      plot::html_tile("Cost", money(short_money(money_number(r.all.cost_nanos))), "all attempts");
  out += plot::html_tile("Requests", plot::count_text(r.all.requests),
                         plot::percent_text(r.all.ok_share()) + " ok");
  const auto per = r.all.nanos_per_accepted();
  out += plot::html_tile("1,000 accepted", per ? money(per_thousand(per)) : "–",
                         r.all.reported == 0
                             ? "nobody said"
                             : plot::percent_text(static_cast<double>(r.all.accepted) /
                                                  static_cast<double>(r.all.reported)) +
                                   " of reported");
  out += plot::html_tile("Input tokens", tokens_text(r.all.input_tokens),
                         plot::percent_text(r.all.cached_share()) + " cached");
  out += plot::html_tile("Output tokens", tokens_text(r.all.output_tokens), "of all attempts");
  out += plot::html_tile("p95", p95 ? plot::ms_text(*p95) : "–", "of whole answers");
  return out + "</div>\n";
}

}  // namespace

std::string ledger_report_html(const LedgerReport& report) {
  std::string body = "<h1>What requests came to</h1>\n";
  for (const std::string& note : report_notes(report))
    body += fmt::format("<p class=\"soft\">{}</p>\n", escaped(note));
  body += tiles(report) + daily_plot(report) + trade_plot(report);
  body += fmt::format("<h2>By {}</h2>\n", escaped(names_of(report.by)));
  if (report.groups.size() > kMostRows)
    body += fmt::format("<p class=\"soft\">The first {} of {} groups.</p>\n", kMostRows,
                        report.groups.size());
  return plot::html_page("Cost of requests", body + table(report));
}

}  // namespace weir::gateway
