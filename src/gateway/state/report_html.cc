// The page of report.h.
#include <fmt/format.h>

#include <algorithm>
#include <set>

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

std::string name_of(const CostGroup& g) {
  std::string out;
  for (const std::string& k : g.key) out += (out.empty() ? "" : ", ") + (k.empty() ? "–" : k);
  return out;
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
  plot::Plot drawn;
  drawn.title = "Cost by day";
  drawn.width = kWidth;
  drawn.x = {.label = "days since the first", .log = false, .min = {}, .max = {}};
  drawn.y = {.label = report.currency, .log = false, .min = 0, .max = {}};
  for (size_t i = 0; i < std::min(order.size(), plot::kSeriesColours); ++i) {
    plot::Series line{.name = order[i].second, .points = {}, .colour = i};
    for (int64_t day = *days.begin(); day <= *days.rbegin(); ++day) {
      const auto it = report.daily.find({day, order[i].second});
      line.points.emplace_back(static_cast<double>(day - *days.begin()),
                               it == report.daily.end() ? 0 : money_number(it->second));
    }
    drawn.series.push_back(std::move(line));
  }
  return plot::plot_svg(drawn);
}

// Cost of an accepted answer, or of a request, against p95, a dot for each group.
std::string trade_plot(const LedgerReport& report) {
  plot::Plot drawn;
  drawn.title = "Cost of a request against latency";
  drawn.width = kWidth;
  drawn.x = {.label = "p95 (ms)", .log = true, .min = {}, .max = {}};
  drawn.y = {.label = report.currency + " per 1,000 requests", .log = false, .min = 0, .max = {}};
  for (const CostGroup& g : report.groups) {
    const auto p95 = g.total_ms.at(0.95);
    if (!p95 || g.requests == 0 || drawn.series.size() >= plot::kSeriesColours) continue;
    drawn.series.push_back({.name = name_of(g),
                            .points = {{*p95, 1000 * money_number(g.cost_nanos - g.shadow_nanos) /
                                                  static_cast<double>(g.requests)}},
                            .colour = drawn.series.size(),
                            .dots = true});
  }
  return drawn.series.size() < 2 ? "" : plot::plot_svg(drawn);
}

std::string tiles(const LedgerReport& r) {
  const auto per = r.all.nanos_per_accepted();
  const auto p95 = r.all.total_ms.at(0.95);
  const std::string money = plot::number_text(money_number(r.all.cost_nanos)) + " " + r.currency;
  std::string out = "<div class=\"tiles\">";
  out += plot::html_tile("Cost", money, "all attempts");
  out += plot::html_tile("Requests", plot::count_text(r.all.requests),
                         plot::percent_text(r.all.ok_share()) + " ok");
  out += plot::html_tile(
      "Accepted answer",
      per ? plot::number_text(*per / static_cast<double>(kNanosPerUnit)) + " " + r.currency : "–",
      fmt::format("{} of {} reported", plot::count_text(r.all.accepted),
                  plot::count_text(r.all.reported)));
  out += plot::html_tile("Input", plot::count_text(r.all.input_tokens),
                         plot::percent_text(r.all.cached_share()) + " cached upstream");
  out += plot::html_tile("Output", plot::count_text(r.all.output_tokens), "tokens");
  out += plot::html_tile("p95", p95 ? plot::ms_text(*p95) : "–", "of requests that were ok");
  return out + "</div>\n";
}

}  // namespace

std::string ledger_report_html(const LedgerReport& report) {
  std::string body = "<h1>What requests came to</h1>\n";
  for (const std::string& note : report_notes(report))
    body += fmt::format("<p class=\"soft\">{}</p>\n", escaped(note));
  body += tiles(report) + daily_plot(report) + trade_plot(report);
  auto rows = report_table(report);
  if (rows.size() > kMostRows) {
    body += fmt::format("<p class=\"soft\">The first {} of {} groups.</p>\n", kMostRows,
                        rows.size() - 2);
    rows.erase(rows.begin() + kMostRows, rows.end() - 1);
  }
  for (auto& row : rows) {
    for (std::string& cell : row) cell = escaped(cell);
  }
  return plot::html_page("Cost of requests", body + plot::html_table(rows));
}

}  // namespace weir::gateway
