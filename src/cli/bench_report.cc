// weir bench report: reports that were saved, shown again or side by side.
#include <fmt/format.h>
#include <unistd.h>

#include <deque>
#include <memory>

#include "bench/report/fairness.h"
#include "bench/report/html.h"
#include "bench/report/json.h"
#include "bench/report/text.h"
#include "cli/command.h"
#include "os/file.h"

namespace weir::cli {
namespace {

struct Options {
  std::string file;
  std::vector<std::string> fairness;  // LABEL=FILE[,FILE...]
  std::vector<std::string> names;
  std::string title = "TTFT by tenant";
  std::string html;
  bool json = false;
};

Result<bench::Report> read_saved(const std::string& path) {
  WEIR_ASSIGN(const std::string bytes, os::read_file(path, bench::kMaxReportBytes));
  Result<bench::Report> report = bench::read_report(bytes);
  if (!report.ok()) return report.error().with_context(path);
  return report;
}

Result<int> show(const Options& o) {
  WEIR_ASSIGN(const bench::Report report, read_saved(o.file));
  if (!o.html.empty()) WEIR_TRY(os::write_file_atomic(o.html, bench::report_html(report)));
  if (o.json) {
    fmt::print("{}\n", bench::report_json(report).dump());
  } else if (o.html.empty()) {
    bench::TextOptions text;
    text.colour = isatty(STDOUT_FILENO) != 0;
    fmt::print("{}", bench::report_text(report, text));
  }
  return kExitOk;
}

// One file: the groups of its first run. Several: each file's first run is a group.
Result<bench::LoadSummary> read_side(std::string_view files) {
  std::vector<bench::Report> reports;
  std::vector<const bench::LoadSummary*> tenants;
  while (true) {
    const size_t comma = files.find(',');
    WEIR_ASSIGN(bench::Report report, read_saved(std::string(files.substr(0, comma))));
    if (report.runs.empty()) {
      return make_error(ErrorCode::kInvalidValue, "{}: the report holds no runs",
                        files.substr(0, comma));
    }
    reports.push_back(std::move(report));
    if (comma == std::string_view::npos) break;
    files.remove_prefix(comma + 1);
  }
  if (reports.size() == 1) return std::move(reports.front().runs.front());
  tenants.reserve(reports.size());
  for (const bench::Report& report : reports) tenants.push_back(&report.runs.front());
  return bench::as_groups(tenants);
}

Result<int> fairness(const Options& o) {
  if (o.html.empty())
    return make_error(ErrorCode::kUsage, "--fairness writes a page: add --html FILE");
  std::deque<bench::LoadSummary> sides;  // their addresses stay
  std::vector<bench::FairnessRun> runs;
  for (const std::string& item : o.fairness) {
    const size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0) {
      return make_error(ErrorCode::kUsage,
                        "--fairness: '{}' must be LABEL=FILE, or LABEL=FILE,FILE,... with a file "
                        "for each tenant",
                        item);
    }
    WEIR_ASSIGN(bench::LoadSummary side, read_side(std::string_view(item).substr(equals + 1)));
    sides.push_back(std::move(side));
    runs.push_back({item.substr(0, equals), &sides.back()});
  }
  WEIR_TRY(os::write_file_atomic(o.html, bench::fairness_html(runs, o.names, o.title)));
  return kExitOk;
}

}  // namespace

void add_bench_report(CLI::App& bench, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(
      bench, "report", "Show saved reports of bench load again, or tenants side by side",
      "  weir bench report load.json --html load.html\n"
      "  weir bench report --fairness with=a1.json,a2.json --fairness without=b1.json,b2.json "
      "--names heavy,light --html fair.html\n");
  auto* file = c->add_option("report", o->file, "a report saved with bench load --save");
  c->add_option("--fairness", o->fairness,
                "LABEL=FILE (its groups) or LABEL=FILE,FILE,... (a file a tenant); may be repeated")
      ->allow_extra_args(false)
      ->excludes(file);
  c->add_option("--names", o->names, "of the groups, in order")->delimiter(',');
  c->add_option("--title", o->title, "of the page")->capture_default_str();
  c->add_option("--html", o->html, "write a page with charts, one file");
  c->add_flag("--json", o->json, "the report as JSON");
  c->callback([o, &selected] {
    selected.action = [o]() -> Result<int> {
      if (!o->fairness.empty()) return fairness(*o);
      if (o->file.empty())
        return make_error(ErrorCode::kUsage, "name a saved report, or give --fairness");
      return show(*o);
    };
  });
}

}  // namespace weir::cli
