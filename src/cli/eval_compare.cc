// weir eval compare: may the candidate take the base's place? Two results, or what gives them, and
// a gate.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "bench/report/eval_html.h"
#include "cli/command.h"
#include "cli/eval_run.h"
#include "cli/eval_side.h"
#include "cli/overlap.h"
#include "cli/subject.h"
#include "config/key.h"
#include "ops/eval/compare.h"
#include "ops/eval/gate.h"
#include "ops/eval/result.h"
#include "ops/eval/windows.h"
#include "ops/sources/days.h"
#include "os/file.h"
#include "plot/text.h"

namespace weir::cli {
namespace {

constexpr int kExitInconclusive = 4;  // shares its number with "unavailable": ask again, with more

struct Options {
  std::string base;
  std::string candidate;
  std::string base_key_env;
  std::string candidate_key_env;
  SuiteOptions suite;
  std::string save_base;
  std::string save_candidate;
  std::string gate;
  std::string out;
  SubjectOptions subject;
  bool allow_overlap = false;
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

// What the two sides share; the suite is read before anything runs.
class Sides {
 public:
  explicit Sides(const SuiteOptions& options) : options_(options) {}

  // label: "base". Errors begin with it.
  Result<ops::EvalRun> run(const std::string& label, Side side, const std::string& key_env,
                           const std::string& save) {
    side.subject.api_key_env = key_env;
    Result<ops::EvalRun> run = result_of(label, side);
    if (!run.ok()) return run.error().with_context(label);
    if (!save.empty()) WEIR_TRY(ops::write_eval_run(save, *run));
    return run;
  }

  // Error kInvalidValue for a rule of the gate about a task that the suite has not got.
  Status load(const ops::Gate& gate) {
    auto suite = load_suite(options_);
    if (!suite.ok()) return suite.error();
    suite_.emplace(std::move(*suite));
    std::vector<std::string> names;
    for (const ops::SuiteTask& task : suite_->suite.tasks) names.push_back(task.name);
    for (const ops::GateRule& rule : gate.rules) {
      if (std::find(names.begin(), names.end(), rule.task) != names.end()) continue;
      return make_error(
          ErrorCode::kInvalidValue, "{}:{}: the suite {} has no task {}; the nearest is {}",
          gate.name, rule.line, suite_->suite.name, rule.task, config::nearest(rule.task, names));
    }
    return {};
  }

 private:
  Result<ops::EvalRun> result_of(const std::string& label, const Side& side) {
    if (side.kind == Side::Kind::kResult) return ops::read_eval_run(side.result);
    WEIR_ASSIGN(SuiteRun done, run_suite(*suite_, options_, side.subject, label));
    return std::move(done.run);
  }

  const SuiteOptions& options_;
  std::optional<LoadedSuite> suite_;  // where a side is run
};

Status check(const Options& o, const Side& base, const Side& candidate) {
  using Kind = Side::Kind;
  const bool runs = base.kind != Kind::kResult || candidate.kind != Kind::kResult;
  if (runs == !o.suite.suite.empty()) return {};
  if (!runs) {
    return make_error(ErrorCode::kUsage,
                      "--suite is run on models and URLs, and these are two result files");
  }
  const bool first = base.kind != Kind::kResult;
  return make_error(ErrorCode::kUsage,
                    "{} {} is a {}: give --suite FILE, which is run on it, or a result file",
                    first ? "BASE" : "CANDIDATE", first ? o.base : o.candidate,
                    (first ? base : candidate).kind == Kind::kUrl ? "URL" : "model");
}

// The share of the text that a side was calibrated on, where its result tells. Error: kInvalidValue
// above the bound.
Result<std::optional<double>> overlap_of(const Options& o, const std::string& name,
                                         const ops::EvalRun& run) {
  const auto share = ops::recorded_overlap(run);
  if (!share.ok()) return share.error().with_context(name);
  if (*share && **share > ops::kMaxOverlap && !o.allow_overlap)
    return ops::overlap_error(fmt::format("{}: the model was calibrated on", name), **share);
  return *share;
}

void print_table(const ops::Comparison& c) {
  // Both come out of files.
  const auto name = [](const ops::RuleResult& r) {
    return plot::printable(r.rule.task + " " + r.rule.metric);
  };
  size_t width = 4;
  for (const ops::RuleResult& r : c.rules) width = std::max(width, name(r).size());
  fmt::print("{:<{}}  {:>9}  {:>9}  {:>9}  {:<22}  {:>8}  {:>7}  {:>8}\n", "rule", width, "base",
             "candidate", "loss", "interval", "margin", "items", "needed");
  for (const ops::RuleResult& r : c.rules) {
    fmt::print("{:<{}}  {:>9.4g}  {:>9.4g}  {:>9.4g}  {:<22}  {:>8.4g}  {:>7}  {:>8}\n", name(r),
               width, r.base, r.candidate, r.loss,
               fmt::format("{:.4g} to {:.4g}", r.loss_low, r.loss_high), r.rule.margin, r.items,
               r.items_needed);
  }
  for (const ops::RuleResult& r : c.rules) {
    fmt::print("{}: {}: {}", name(r), ops::verdict_name(r.verdict), r.why);
    if (r.binary) {
      fmt::print(" (only the base is right in {}, only the candidate in {}; McNemar p {:.4g})",
                 r.only_base, r.only_candidate, r.p_mcnemar);
    }
    fmt::print("\n");
  }
  fmt::print("{}\n", ops::verdict_name(c.verdict));
}

Result<int> eval_compare(const Options& o) {
  WEIR_ASSIGN(const Side base_side, parse_side(o.base));
  WEIR_ASSIGN(const Side candidate_side, parse_side(o.candidate));
  WEIR_TRY(check(o, base_side, candidate_side));
  WEIR_TRY(check_suite_outputs(
      {{"--out", o.out}, {"--save-base", o.save_base}, {"--save-candidate", o.save_candidate}},
      {base_side.subject.model, candidate_side.subject.model}, o.suite,
      {base_side.result, candidate_side.result, o.gate}));
  WEIR_ASSIGN(const std::optional<ops::Subject> subject, read_subject(o.subject));
  ops::Gate given;
  if (!o.gate.empty()) {
    WEIR_ASSIGN(given, ops::read_gate(o.gate));  // before anything runs
  }
  Sides sides(o.suite);
  if (!o.suite.suite.empty()) WEIR_TRY(sides.load(given));
  WEIR_ASSIGN(const ops::EvalRun base, sides.run("base", base_side, o.base_key_env, o.save_base));
  WEIR_ASSIGN(const ops::EvalRun candidate,
              sides.run("candidate", candidate_side, o.candidate_key_env, o.save_candidate));
  WEIR_ASSIGN(const std::optional<double> of_base, overlap_of(o, o.base, base));
  WEIR_ASSIGN(const std::optional<double> of_candidate, overlap_of(o, o.candidate, candidate));
  const std::optional<double> overlap = std::max(of_base, of_candidate);
  const ops::Gate gate = o.gate.empty() ? ops::default_gate(base) : std::move(given);
  WEIR_ASSIGN(const ops::Comparison c, ops::compare_runs(base, candidate, gate));
  if (!o.out.empty()) {
    WEIR_TRY(os::write_file_atomic(o.out, bench::eval_comparison_html(c, base, candidate, gate)));
  }
  if (o.json) {
    text::Json head = text::Json::object();
    head.set("schema", ops::kGateSchema);
    head.set("created", ops::time_of(SystemClock().unix_s()));
    if (subject) head.set("subject", subject->json());
    fmt::print("{}\n", ops::comparison_json(c, base, candidate, gate, std::move(head)));
  } else {
    print_table(c);
    if (overlap && *overlap > ops::kMaxOverlap) print_overlap(*overlap);
  }
  return exit_of(c.verdict);
}

}  // namespace

void add_eval_compare(CLI::App& eval, Selected& selected) {
  auto o =
      std::make_shared<Options>();  // shared: the parser's callbacks and actions outlive this call
  CLI::App* compare = add_command(
      eval, "compare",
      "Hold a candidate's result against its base's: pass 0, fail 1, inconclusive 4",
      "  weir eval compare base.json candidate.json\n"
      "  weir eval compare base.json candidate.json --gate gate.yaml -o report.html\n"
      "  weir eval compare base.gguf small.gguf --suite suites/release.yaml --data DATA "
      "--gate suites/gates/release.yaml --cache eval.jsonl\n"
      "  weir eval compare base.gguf http://127.0.0.1:8000#model=NAME --suite "
      "suites/release.yaml --data DATA\n"
      "Each side is a result file, a model (GGUF file, folder, or name under models/), "
      "or a URL with the server's model behind #model=\n(without it the only one that "
      "the server lists). The suite is run on models and URLs; a result file must be of "
      "the same suite.\n");
  compare->add_option("base", o->base, "the base")->required();
  compare->add_option("candidate", o->candidate, "the candidate")->required();
  compare->add_option("--gate", o->gate,
                      "margins a task (default: 0.01, and 0.02 nats of KL or loss)");
  compare->add_option("--suite", o->suite.suite, "the suite to run, a YAML file");
  add_suite_options(compare, o->suite);
  compare->add_option("--base-api-key-env", o->base_key_env,
                      "the variable of the environment that holds the key of the base's URL");
  compare->add_option("--candidate-api-key-env", o->candidate_key_env, "likewise the candidate's");
  compare->add_option("--save-base", o->save_base, "write the base's result to a file");
  compare->add_option("--save-candidate", o->save_candidate, "write the candidate's");
  compare->add_option("-o,--out", o->out, "write a report in HTML");
  add_allow_overlap(compare, o->allow_overlap);
  add_subject_options(compare, o->subject, false);
  compare->add_flag("--json", o->json, "one JSON document");
  compare->callback([o, &selected] { selected.action = [o] { return eval_compare(*o); }; });
}

}  // namespace weir::cli
