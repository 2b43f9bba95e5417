#include "gateway/state/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "gateway/state/calendar.h"
#include "gateway/state/prices.h"

namespace weir::gateway {
namespace {

constexpr std::array<std::string_view, 11> kNames = {
    "tenant",  "key", "model", "upstream", "endpoint", "upstream_model",
    "release", "day", "hour",  "outcome",  "cache"};
constexpr int64_t kHourMs = 3'600'000;
constexpr const char* kOther = "(others)";

std::string hour_text(int64_t unix_ms) {
  return fmt::format("{} {:02}:00", day_text_of(static_cast<int32_t>(unix_ms / (24 * kHourMs))),
                     unix_ms / kHourMs % 24);
}

std::string value_of(CostDimension d, const LedgerRow& r) {
  switch (d) {
    case CostDimension::kTenant:
      return r.tenant;
    case CostDimension::kKey:
      return r.key_id;
    case CostDimension::kModel:
      return r.model;
    case CostDimension::kUpstream:
      return r.upstream;
    case CostDimension::kEndpoint:
      return r.endpoint;
    case CostDimension::kUpstreamModel:
      return r.upstream_model;
    case CostDimension::kRelease:
      return r.release;
    case CostDimension::kDay:
      return day_text_of(
          static_cast<int32_t>(window_at(QuotaWindow::kDay, r.started_unix_ms).bucket));
    case CostDimension::kHour:
      return hour_text(std::max<int64_t>(r.started_unix_ms, 0));
    case CostDimension::kOutcome:
      return std::string(ledger_end_name(r.end));
    case CostDimension::kCache:
      return r.cache;
  }
  return "";
}

bool is_time(CostDimension d) { return d == CostDimension::kDay || d == CostDimension::kHour; }

bool is_shadow(const LedgerRow& r) { return r.cache == kShadowCache; }

bool from_cache(const LedgerRow& r) {
  return !r.cache.empty() && r.cache != "miss" && !is_shadow(r);
}

void count(CostGroup& g, const LedgerEntry& e) {
  const LedgerRow& r = e.row;
  ++g.attempts;
  g.hedged += r.hedged ? 1 : 0;
  g.retried += r.retried ? 1 : 0;
  g.continued += r.continued ? 1 : 0;
  g.input_tokens += r.input_tokens;
  g.cached_tokens += r.cached_tokens;
  g.output_tokens += r.output_tokens;
  g.cost_nanos += r.cost_nanos.value_or(0);
  if (is_shadow(r)) g.shadow_nanos += r.cost_nanos.value_or(0);
  g.unpriced += !r.cost_nanos && !r.upstream.empty() ? 1 : 0;
  g.estimated += r.estimated ? 1 : 0;
  if (!r.final) return;
  ++g.requests;
  g.cache_hits += from_cache(r) ? 1 : 0;
  g.reported += e.accepted ? 1 : 0;
  g.accepted += e.accepted.value_or(false) ? 1 : 0;
  if (r.end != LedgerEnd::kOk) return;
  ++g.ok;
  g.total_ms.add(r.total_ms);
  if (r.ttft_ms) g.ttft_ms.add(*r.ttft_ms);
}

double share_of(int64_t part, int64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

// Where groups are told apart by time they stay in its order (their keys are), else by money.
void put_in_order(LedgerReport& report) {
  if (std::any_of(report.by.begin(), report.by.end(), is_time)) return;
  std::stable_sort(
      report.groups.begin(), report.groups.end(), [](const CostGroup& a, const CostGroup& b) {
        return std::pair(a.cost_nanos, a.requests) > std::pair(b.cost_nanos, b.requests);
      });
}

}  // namespace

std::string_view cost_dimension_name(CostDimension dimension) {
  return kNames[static_cast<size_t>(dimension)];
}

Result<std::vector<CostDimension>> parse_cost_dimensions(std::string_view list) {
  std::vector<CostDimension> out;
  while (true) {
    const size_t comma = list.find(',');
    const std::string_view name = list.substr(0, comma);
    const auto it = std::find(kNames.begin(), kNames.end(), name);
    if (it == kNames.end()) {
      return make_error(ErrorCode::kUsage, "--by {}: there are {}", name.substr(0, 40),
                        fmt::join(kNames, ", "));
    }
    const auto dimension = static_cast<CostDimension>(it - kNames.begin());
    if (std::find(out.begin(), out.end(), dimension) != out.end())
      return make_error(ErrorCode::kUsage, "--by: {} stands twice", name);
    out.push_back(dimension);
    if (comma == std::string_view::npos) return out;
    list.remove_prefix(comma + 1);
  }
}

double CostGroup::ok_share() const { return share_of(ok, requests); }
double CostGroup::cached_share() const { return share_of(cached_tokens, input_tokens); }

std::optional<double> CostGroup::nanos_per_accepted() const {
  if (accepted == 0) return std::nullopt;
  return static_cast<double>(cost_nanos - shadow_nanos) /
         (static_cast<double>(requests) * share_of(accepted, reported));
}

Result<LedgerReport> make_ledger_report(LedgerReader& ledger, const LedgerFilter& filter,
                                        std::vector<CostDimension> by) {
  LedgerReport report;
  report.by = std::move(by);
  report.currency = ledger.currency();
  const auto first_other = std::find_if_not(report.by.begin(), report.by.end(), is_time);
  std::map<std::vector<std::string>, CostGroup> groups;
  const std::vector<std::string> others(report.by.size(), kOther);
  WEIR_TRY(ledger.each(filter, [&](const LedgerEntry& e) -> Status {
    const int64_t at = e.row.started_unix_ms;
    report.first_ms = report.all.attempts == 0 ? at : std::min(report.first_ms, at);
    report.last_ms = report.all.attempts == 0 ? at : std::max(report.last_ms, at);
    count(report.all, e);
    std::vector<std::string> key;
    key.reserve(report.by.size());
    for (const CostDimension d : report.by) key.push_back(value_of(d, e.row));
    auto it = groups.find(key);
    if (it == groups.end() && groups.size() >= LedgerReport::kMaxGroups) {
      ++report.merged;
      it = groups.try_emplace(others).first;
    } else if (it == groups.end()) {
      it = groups.try_emplace(key).first;
    }
    count(it->second, e);
    const std::string line = first_other == report.by.end() ? "" : value_of(*first_other, e.row);
    if (report.daily.size() < LedgerReport::kMaxGroups)
      report.daily[{window_at(QuotaWindow::kDay, at).bucket, line}] += e.row.cost_nanos.value_or(0);
    return {};
  }));
  if (report.all.attempts == 0)
    return make_error(ErrorCode::kNotFound, "the ledger has no attempts of this time and tenant");
  report.groups.reserve(groups.size());
  for (auto& [key, group] : groups) {
    group.key = key;
    report.groups.push_back(std::move(group));
  }
  put_in_order(report);
  return report;
}

}  // namespace weir::gateway
