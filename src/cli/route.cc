// weir route train, eval, log: routers by difficulty, from what two models scored on the same
// prompts.
#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/ops_commands.h"
#include "gateway/route/route_log.h"
#include "gateway/route/route_report.h"
#include "ops/eval/result.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using text::Json;

constexpr size_t kFolds = 5;
constexpr uint64_t kMaxModelBytes = 1 << 20;

struct Options {
  std::string log, output, model_file, html;
  std::string small, large, metric;
  double tolerance = 0, l2 = 1, small_cost = 0, large_cost = 0;
  std::optional<double> threshold;
  bool json = false;
};

Result<gateway::RouteLog> read_log(const Options& o) {
  WEIR_ASSIGN(const std::string text, read_input(o.log, gateway::RouteLog::kMaxBytes));
  return gateway::parse_route_log(text, o.log);
}

Result<int> train(const Options& o) {
  WEIR_ASSIGN(const gateway::RouteLog log, read_log(o));
  const gateway::DifficultyTraining training{.l2 = o.l2};
  const auto examples = gateway::difficulty_examples(log, o.tolerance);
  auto trained = gateway::train_difficulty(examples, training);
  if (!trained.ok()) return trained.error().with_context(o.log);
  WEIR_TRY(os::write_file_atomic(o.output, trained->to_json()));
  int64_t suffices = 0;
  for (const auto& e : examples) suffices += e.small_suffices ? 1 : 0;
  // What it is worth on prompts that it has not seen, where the log is large and has costs.
  std::optional<gateway::QualityCurve> held_out;
  if (log.with_costs) {
    const auto items = gateway::routed_held_out(log, o.tolerance, training, kFolds);
    if (items.ok()) {
      auto curve = gateway::quality_curve(*items);
      if (curve.ok()) held_out = std::move(*curve);
    }
  }
  const double share = static_cast<double>(suffices) / static_cast<double>(examples.size());
  if (o.json) {
    Json out = Json::object();
    out.set("output", o.output);
    out.set("examples", trained->examples);
    out.set("small_suffices", share);
    if (held_out.has_value()) {
      Json& areas = out.set("held_out", Json::object());
      areas.set("area", held_out->area);
      areas.set("random_area", held_out->random_area);
      areas.set("large_area", held_out->large_area);
      areas.set("best_area", held_out->best_area);
    }
    fmt::print("{}\n", out.dump());
    return kExitOk;
  }
  fmt::print("{}: trained on {} prompts; the small model suffices for {:.1f} % of them\n", o.output,
             trained->examples, 100 * share);
  if (held_out.has_value())
    fmt::print(
        "on prompts held out ({} parts): area under quality over cost {:.4f}, at random {:.4f}, "
        "always large {:.4f}, best there could be {:.4f}\n",
        kFolds, held_out->area, held_out->random_area, held_out->large_area, held_out->best_area);
  else
    fmt::print(
        "nothing held out: that takes costs on every line, and more prompts of both kinds\n");
  return kExitOk;
}

Result<int> evaluate(const Options& o) {
  WEIR_ASSIGN(const gateway::RouteLog log, read_log(o));
  if (!log.with_costs)
    return make_error(ErrorCode::kCorrupt, "{}: every line needs small_cost and large_cost", o.log);
  WEIR_ASSIGN(const std::string text, os::read_file(o.model_file, kMaxModelBytes));
  const auto model = gateway::DifficultyModel::parse(text);
  if (!model.ok()) return model.error().with_context(o.model_file);
  const auto report = gateway::make_route_report(gateway::routed_by(*model, log), o.threshold);
  if (!report.ok()) return report.error().with_context(o.log);
  if (!o.html.empty()) WEIR_TRY(os::write_file_atomic(o.html, gateway::route_report_html(*report)));
  fmt::print("{}", o.json ? gateway::route_report_json(*report).dump() + "\n"
                          : gateway::route_report_text(*report));
  return kExitOk;
}

// One line of a log for each item that both results have.
Result<int> make_log(const Options& o) {
  WEIR_ASSIGN(const ops::EvalRun small, ops::read_eval_run(o.small));
  WEIR_ASSIGN(const ops::EvalRun large, ops::read_eval_run(o.large));
  std::string out;
  size_t without = 0;
  for (const ops::EvalTask& task : large.tasks) {
    const ops::EvalTask* same = small.task(task.name);
    if (same == nullptr) continue;
    std::map<std::string, const ops::EvalItem*> by_id;
    for (const ops::EvalItem& item : same->items) by_id.emplace(item.id, &item);
    for (const ops::EvalItem& item : task.items) {
      const auto other = by_id.find(item.id);
      if (other == by_id.end() || item.hash != other->second->hash || item.prompt.empty()) {
        ++without;
        continue;
      }
      const double* a = other->second->score(o.metric);
      const double* b = item.score(o.metric);
      if (a == nullptr || b == nullptr) {
        ++without;
        continue;
      }
      Json line = Json::object();
      line.set("prompt", item.prompt);
      line.set("small_score", *a);
      line.set("large_score", *b);
      line.set("small_cost", o.small_cost);
      line.set("large_cost", o.large_cost);
      out += line.dump() + "\n";
    }
  }
  if (out.empty())
    return make_error(ErrorCode::kCorrupt,
                      "{} and {} have no item in common with a prompt and the score {}", o.small,
                      o.large, o.metric);
  if (without > 0) fmt::print(stderr, "weir: {} items of {} are left out\n", without, o.large);
  if (o.output.empty()) {
    fmt::print("{}", out);
    return kExitOk;
  }
  WEIR_TRY(os::write_file_atomic(o.output, out));
  return kExitOk;
}

}  // namespace

void add_route(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callbacks and the actions outlive
                                         // this call
  CLI::App* route = add_command(
      root, "route", "Routers by difficulty for weir gateway: train one, see what it buys",
      "  weir route train log.jsonl --output model.json\n"
      "  weir route eval other.jsonl --model-file model.json --html curve.html\n");
  route->require_subcommand(1);
  CLI::App* c = add_command(
      *route, "train", "Train a router on the log of an evaluation that two models answered",
      "  weir route train log.jsonl --output model.json\n"
      "  {\"prompt\": \"2+2?\", \"small_score\": 1, \"large_score\": 1, \"small_cost\": 0.0001, "
      "\"large_cost\": 0.002}     a line of the log\n");
  c->add_option("LOG", o->log, "JSON lines; - for standard input")->required();
  c->add_option("--output,-o", o->output, "the model's file")->required();
  c->add_option("--tolerance", o->tolerance,
                "the small model suffices up to this far below the large one's score")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  c->add_option("--l2", o->l2, "penalty on weights; more for few prompts")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str();
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return train(*o); }; });

  c = add_command(*route, "eval", "Quality against cost of a router on a log it was not trained on",
                  "  weir route eval log.jsonl --model-file model.json --threshold 0.7\n"
                  "  weir route eval log.jsonl --model-file model.json --html curve.html --json\n");
  c->add_option("LOG", o->log, "JSON lines with costs; - for standard input")->required();
  c->add_option("--model-file", o->model_file, "what weir route train wrote")->required();
  c->add_option("--threshold", o->threshold, "show this one, as gateway.yaml has it")
      ->check(CLI::Range(0.0, 1.0));
  c->add_option("--html", o->html, "write the report as a page with the curve");
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return evaluate(*o); }; });

  c = add_command(*route, "log", "Make such a log of two results of weir eval task",
                  "  weir route log --small s.json --large l.json --metric acc --small-cost 0.0001 "
                  "--large-cost 0.002 -o log.jsonl\n");
  c->add_option("--small", o->small, "the small model's result")->required();
  c->add_option("--large", o->large, "the large model's result, on the same suite")->required();
  c->add_option("--metric", o->metric, "a score from 0 to 1 that items have: acc")->required();
  c->add_option("--small-cost", o->small_cost, "of one answer, in any unit")->required();
  c->add_option("--large-cost", o->large_cost, "of one answer, in the same unit")->required();
  c->add_option("--output,-o", o->output, "the log's file; without it standard output");
  c->callback([o, &selected] { selected.action = [o] { return make_log(*o); }; });
}

}  // namespace weir::cli
