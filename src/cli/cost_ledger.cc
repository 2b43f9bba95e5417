// weir cost report, weir cost export: what the requests of a gateway's ledger came to, and the
// requests themselves.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/ops_commands.h"
#include "gateway/state/calendar.h"
#include "gateway/state/ledger_reader.h"
#include "gateway/state/report.h"
#include "os/file.h"

namespace weir::cli {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr size_t kMaxExportBytes = size_t{1} << 30;

struct Options {
  std::string ledger, by = "tenant,model", since, until, html;
  std::string tenant;
  bool json = false, reported = false;
};

Result<int64_t> day_begins_ms(const char* flag, const std::string& day) {
  const auto number = gateway::day_number_of(day);
  if (!number) return make_error(ErrorCode::kUsage, "{} {}: write a day as YYYY-MM-DD", flag, day);
  return *number * kDayMs;
}

Result<gateway::LedgerFilter> filter_of(const Options& o) {
  gateway::LedgerFilter filter;
  filter.tenant = o.tenant;
  if (!o.since.empty()) {
    WEIR_ASSIGN(filter.from_ms, day_begins_ms("--since", o.since));
  }
  if (!o.until.empty()) {
    WEIR_ASSIGN(const int64_t last, day_begins_ms("--until", o.until));
    filter.to_ms = last + kDayMs;
  }
  if (filter.from_ms >= filter.to_ms)
    return make_error(ErrorCode::kUsage, "--until {}: lies before --since {}", o.until, o.since);
  return filter;
}

Result<int> report(const Options& o) {
  WEIR_ASSIGN(auto by, gateway::parse_cost_dimensions(o.by));
  WEIR_ASSIGN(const gateway::LedgerFilter filter, filter_of(o));
  WEIR_ASSIGN(auto ledger, gateway::LedgerReader::open(o.ledger));
  WEIR_ASSIGN(const gateway::LedgerReport made,
              gateway::make_ledger_report(ledger, filter, std::move(by)));
  if (!o.html.empty()) WEIR_TRY(os::write_file_atomic(o.html, gateway::ledger_report_html(made)));
  fmt::print("{}", o.json ? gateway::ledger_report_json(made).dump() + "\n"
                          : gateway::ledger_report_text(made));
  return kExitOk;
}

Result<int> write_requests(const Options& o) {
  WEIR_ASSIGN(const gateway::LedgerFilter filter, filter_of(o));
  WEIR_ASSIGN(auto ledger, gateway::LedgerReader::open(o.ledger));
  WEIR_ASSIGN(const std::string lines, ledger.requests(filter, o.reported, kMaxExportBytes));
  fmt::print("{}", lines);
  return kExitOk;
}

void add_filter(CLI::App& c, Options& o) {
  c.add_option("--ledger", o.ledger, "the gateway's ledger file")->required();
  c.add_option("--since", o.since, "from this day on (UTC)");
  c.add_option("--until", o.until, "up to the end of this day (UTC)");
  c.add_option("--tenant", o.tenant, "only this tenant's");
}

}  // namespace

void add_cost_ledger(CLI::App& cost, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callbacks and the actions outlive
                                         // this call
  CLI::App* c = add_command(
      cost, "report", "What the requests of a gateway's ledger came to, by any dimension",
      "  weir cost report --ledger ledger.db --by tenant,model\n"
      "  weir cost report --ledger ledger.db --by day --since 2026-11-01 --html cost.html\n"
      "  weir cost report --ledger ledger.db --by release --json     cost per accepted answer\n");
  add_filter(*c, *o);
  c->add_option(
       "--by", o->by,
       "tenant, key, model (as the client named it), upstream, endpoint, upstream_model, release, "
       "day, hour, outcome, cache; "
       "several with commas")
      ->capture_default_str();
  c->add_option("--html", o->html, "write the report as a page with plots");
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return report(*o); }; });

  c = add_command(cost, "export", "The requests of a gateway's ledger as JSON lines",
                  "  weir cost export --ledger ledger.db --reported > outcomes.jsonl\n"
                  "  weir cost export --ledger ledger.db > trace.jsonl\n");
  add_filter(*c, *o);
  c->add_flag("--reported", o->reported, "only those of which users said something");
  c->callback([o, &selected] { selected.action = [o] { return write_requests(*o); }; });
}

}  // namespace weir::cli
