// Text and JSON of report.h.
#include <fmt/format.h>

#include <algorithm>

#include "gateway/state/calendar.h"
#include "gateway/state/prices.h"
#include "gateway/state/report.h"
#include "gateway/state/report_parts.h"
#include "plot/text.h"
#include "text/utf8.h"

namespace weir::gateway {
namespace {

using text::Json;

// Width on a terminal: one column a code point.
size_t width_of(const std::string& s) {
  return static_cast<size_t>(
      std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

Json quantiles(const LatencySketch& s) {
  Json j = Json::object();
  for (const auto& [name, share] :
       {std::pair("p50", 0.5), std::pair("p95", 0.95), std::pair("p99", 0.99)}) {
    const auto at = s.at(share);
    j.set(name, at ? Json(*at) : Json());
  }
  return j;
}

std::string attempts_text(int64_t n) {
  return fmt::format("{} attempt{}", plot::count_text(n), n == 1 ? "" : "s");
}

Json group_json(const CostGroup& g) {
  Json j = Json::object();
  j.set("requests", g.requests);
  j.set("attempts", g.attempts);
  j.set("ok", g.ok);
  j.set("hedged", g.hedged);
  j.set("retried", g.retried);
  j.set("continued", g.continued);
  j.set("cache_hits", g.cache_hits);
  j.set("input_tokens", g.input_tokens);
  j.set("cached_tokens", g.cached_tokens);
  j.set("output_tokens", g.output_tokens);
  j.set("cost", money_number(g.cost_nanos));
  j.set("cost_nanos", g.cost_nanos);
  j.set("shadow_cost", money_number(g.shadow_nanos));
  j.set("unpriced_attempts", g.unpriced);
  j.set("estimated_attempts", g.estimated);
  j.set("reported", g.reported);
  j.set("accepted", g.accepted);
  const auto per = g.nanos_per_accepted();
  j.set("cost_per_accepted", per ? Json(*per / static_cast<double>(kNanosPerUnit)) : Json());
  j.set("ttft_ms", quantiles(g.ttft_ms));
  j.set("total_ms", quantiles(g.total_ms));
  return j;
}

}  // namespace

std::vector<std::vector<std::string>> report_table(const LedgerReport& report) {
  std::vector<std::string> head;
  for (const CostDimension d : report.by) head.emplace_back(cost_dimension_name(d));
  const std::string money = "cost " + report.currency;
  for (const std::string& name :
       {std::string("requests"), std::string("attempts"), std::string("ok"), std::string("input"),
        std::string("cached"), std::string("output"), money, std::string("per accepted"),
        std::string("ttft p50"), std::string("ttft p95"), std::string("p50"), std::string("p95"),
        std::string("p99")})
    head.push_back(name);
  std::vector<std::vector<std::string>> out = {std::move(head)};
  const auto add = [&](std::vector<std::string> cells, const CostGroup& g) {
    const auto ms = [](const LatencySketch& s, double share) {
      const auto at = s.at(share);
      return at ? plot::ms_text(*at) : std::string("–");
    };
    const auto per = g.nanos_per_accepted();
    for (std::string cell :
         {plot::count_text(g.requests), plot::count_text(g.attempts),
          g.requests == 0 ? std::string("–") : plot::percent_text(g.ok_share()),
          plot::count_text(g.input_tokens),
          g.input_tokens == 0 ? std::string("–") : plot::percent_text(g.cached_share()),
          plot::count_text(g.output_tokens), money_text(g.cost_nanos) + (g.unpriced > 0 ? "*" : ""),
          per ? plot::number_text(*per / static_cast<double>(kNanosPerUnit)) : std::string("–"),
          ms(g.ttft_ms, 0.5), ms(g.ttft_ms, 0.95), ms(g.total_ms, 0.5), ms(g.total_ms, 0.95),
          ms(g.total_ms, 0.99)})
      cells.push_back(std::move(cell));
    out.push_back(std::move(cells));
  };
  for (const CostGroup& g : report.groups) {
    std::vector<std::string> cells;
    cells.reserve(g.key.size());
    for (const std::string& k : g.key) cells.push_back(k.empty() ? "–" : plot::printable(k));
    add(std::move(cells), g);
  }
  std::vector<std::string> sum(report.by.size());
  sum[0] = "all";
  add(std::move(sum), report.all);
  return out;
}

std::vector<std::string> report_notes(const LedgerReport& report) {
  const auto day = [](int64_t ms) {
    return day_text_of(static_cast<int32_t>(window_at(QuotaWindow::kDay, ms).bucket));
  };
  std::vector<std::string> out = {fmt::format(
      "{} requests in {} attempts from {} to {} (UTC)", plot::count_text(report.all.requests),
      plot::count_text(report.all.attempts), day(report.first_ms), day(report.last_ms))};
  if (report.all.unpriced > 0) {
    out.push_back(
        fmt::format("* of {} the cost is not known and counts as 0: there is no price, or nobody "
                    "knows what the "
                    "upstream computed",
                    attempts_text(report.all.unpriced)));
  }
  if (report.all.estimated > 0) {
    out.push_back(
        fmt::format("of {} the upstream did not say what it took: tokens and cost are estimated "
                    "from what was sent and what came",
                    attempts_text(report.all.estimated)));
  }
  if (report.all.shadow_nanos > 0) {
    out.push_back(
        fmt::format("{} {} went into shadow traffic, which no accepted answer is charged for",
                    money_text(report.all.shadow_nanos), report.currency));
  }
  if (report.all.reported > 0 && report.all.reported < report.all.requests) {
    out.push_back(fmt::format(
        "users said something of {} of the requests; the others are taken to be accepted as often",
        plot::percent_text(static_cast<double>(report.all.reported) /
                           static_cast<double>(report.all.requests))));
  }
  if (report.merged > 0) {
    out.push_back(fmt::format("more than {} groups: {} attempts are together in (others)",
                              LedgerReport::kMaxGroups, plot::count_text(report.merged)));
  }
  return out;
}

std::string ledger_report_text(const LedgerReport& report) {
  const auto rows = report_table(report);
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width_of(row[c]));
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string pad(widths[c] - width_of(row[c]), ' ');
      const bool left = c < report.by.size();
      out += (c == 0 ? "" : "  ") + (left ? row[c] + pad : pad + row[c]);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
  }
  for (const std::string& note : report_notes(report)) out += note + "\n";
  return out;
}

Json ledger_report_json(const LedgerReport& report) {
  Json by = Json::array(), groups = Json::array();
  for (const CostDimension d : report.by) by.push_back(cost_dimension_name(d));
  for (const CostGroup& g : report.groups) {
    Json key = Json::object();
    for (size_t i = 0; i < report.by.size(); ++i)
      key.set(cost_dimension_name(report.by[i]), text::replace_invalid_utf8(g.key[i]));
    Json j = group_json(g);
    j.set("key", std::move(key));
    groups.push_back(std::move(j));
  }
  Json out = Json::object();
  out.set("by", std::move(by));
  out.set("currency", report.currency);
  out.set("first_unix_ms", report.first_ms);
  out.set("last_unix_ms", report.last_ms);
  out.set("all", group_json(report.all));
  out.set("groups", std::move(groups));
  out.set("merged_attempts", report.merged);
  return out;
}

}  // namespace weir::gateway
