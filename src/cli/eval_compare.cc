// weir eval compare: may the candidate take the base's place? Two results and a gate.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>

#include "bench/report/eval_html.h"
#include "cli/command.h"
#include "ops/eval/compare.h"
#include "ops/eval/gate.h"
#include "ops/eval/result.h"
#include "os/file.h"

namespace weir::cli {
namespace {

constexpr int kExitInconclusive = 4;  // shares its number with "unavailable": ask again, with more

struct Options {
  std::string base;
  std::string candidate;
  std::string gate;
  std::string suite;
  std::string out;
  bool json = false;
};

int exit_of(ops::Verdict verdict) {
  switch (verdict) {
    case ops::Verdict::kPass:
      return kExitOk;
    case ops::Verdict::kFail:
      return kExitNo;
    case ops::Verdict::kInconclusive:
      break;
  }
  return kExitInconclusive;
}

// A result file. Error kUnsupported for what would have to be run first.
Result<ops::EvalRun> read_side(const std::string& name, const char* side) {
  const bool url = name.starts_with("http://") || name.starts_with("https://");
  if (url || name.ends_with(".gguf")) {
    return make_error(ErrorCode::kUnsupported,
                      "{} {} is a {}, and compare takes result files: write one with weir eval kl "
                      "or task … -o RESULT.json first",
                      side, name, url ? "URL" : "model");
  }
  return ops::read_eval_run(name);
}

void print_table(const ops::Comparison& c) {
  size_t width = 4;
  for (const ops::RuleResult& r : c.rules) {
    width = std::max(width, r.rule.task.size() + r.rule.metric.size() + 1);
  }
  fmt::print("{:<{}}  {:>9}  {:>9}  {:>9}  {:<22}  {:>8}  {:>7}  {:>8}\n", "rule", width, "base",
             "candidate", "loss", "interval", "margin", "items", "needed");
  for (const ops::RuleResult& r : c.rules) {
    fmt::print("{:<{}}  {:>9.4g}  {:>9.4g}  {:>9.4g}  {:<22}  {:>8.4g}  {:>7}  {:>8}\n",
               r.rule.task + " " + r.rule.metric, width, r.base, r.candidate, r.loss,
               fmt::format("{:.4g} to {:.4g}", r.loss_low, r.loss_high), r.rule.margin, r.items,
               r.items_needed);
  }
  for (const ops::RuleResult& r : c.rules) {
    fmt::print("{} {}: {}: {}", r.rule.task, r.rule.metric, ops::verdict_name(r.verdict), r.why);
    if (r.binary) {
      fmt::print(" (only the base is right in {}, only the candidate in {}; McNemar p {:.4g})",
                 r.only_base, r.only_candidate, r.p_mcnemar);
    }
    fmt::print("\n");
  }
  fmt::print("{}\n", ops::verdict_name(c.verdict));
}

Result<int> eval_compare(const Options& o) {
  if (!o.suite.empty()) {
    return make_error(ErrorCode::kUnsupported,
                      "--suite runs models, which this command does not do yet: give two result "
                      "files");
  }
  WEIR_ASSIGN(const ops::EvalRun base, read_side(o.base, "BASE"));
  WEIR_ASSIGN(const ops::EvalRun candidate, read_side(o.candidate, "CANDIDATE"));
  ops::Gate gate = ops::default_gate(base);
  if (!o.gate.empty()) {
    WEIR_ASSIGN(gate, ops::read_gate(o.gate));
  }
  WEIR_ASSIGN(const ops::Comparison c, ops::compare_runs(base, candidate, gate));
  if (!o.out.empty()) {
    WEIR_TRY(os::write_file_atomic(o.out, bench::eval_comparison_html(c, base, candidate, gate)));
  }
  if (o.json) {
    fmt::print("{}\n", ops::comparison_json(c, base, candidate, gate));
  } else {
    print_table(c);
  }
  return exit_of(c.verdict);
}

}  // namespace

void add_eval_compare(CLI::App& eval, Selected& selected) {
  auto o =
      std::make_shared<Options>();  // shared: the parser's callbacks and actions outlive this call
  CLI::App* compare =
      add_command(eval, "compare",
                  "Hold a candidate's result against its base's: pass 0, fail 1, inconclusive 4",
                  "  weir eval compare base.json candidate.json\n"
                  "  weir eval compare base.json candidate.json --gate gate.yaml -o report.html\n");
  compare->add_option("base", o->base, "result of the base")->required();
  compare->add_option("candidate", o->candidate, "result of the candidate")->required();
  compare->add_option("--gate", o->gate,
                      "margins a task (default: 0.01, and 0.02 nats of KL or loss)");
  compare->add_option("--suite", o->suite, "a suite to run on both");
  compare->add_option("-o,--out", o->out, "write a report in HTML");
  compare->add_flag("--json", o->json, "one JSON document");
  compare->callback([o, &selected] { selected.action = [o] { return eval_compare(*o); }; });
}

}  // namespace weir::cli
