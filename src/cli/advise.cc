// weir advise: what to do about a deployment, by decision trees over its intake.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/outputs.h"
#include "ops/advise/advice.h"
#include "ops/advise/assumed.h"
#include "ops/advise/graph.h"
#include "ops/advise/try_line.h"
#include "ops/brief/brief_store.h"
#include "ops/brief/question.h"
#include "ops/intake/conflicts.h"
#include "ops/intake/infer.h"
#include "ops/project/own_files.h"
#include "ops/project/project.h"
#include "ops/sources/days.h"
#include "ops/sources/sources.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using text::Json;

struct Options {
  std::string folder = ".";
  std::vector<std::string> trees;
  bool assume = false;
  std::string explain;
  std::string graph;
  std::string question;
  bool list = false;
  bool verbose = false;
  size_t limit = 0;  // of actions; 0: all
  bool json = false;
};

struct Rules {
  const CLI::App* program = nullptr;  // whose commands there are
  std::vector<ops::Tree> trees;
  ops::Actions actions;
  ops::Sources sources;
  ops::Trends trends;
  std::string folder;  // the project's
};

Result<Rules> load_rules(const Options& o, const CLI::App& program) {
  Rules r;
  r.program = &program;
  r.folder = o.folder;
  WEIR_ASSIGN(auto all, ops::built_in_trees());
  WEIR_ASSIGN(r.actions, ops::built_in_actions());
  WEIR_ASSIGN(r.sources, ops::built_in_sources());
  WEIR_ASSIGN(r.trends, ops::built_in_trends());
  std::vector<std::string> names;
  for (ops::Tree& tree : all) {
    names.push_back(tree.name);
    const bool wanted =
        o.trees.empty() || std::find(o.trees.begin(), o.trees.end(), tree.name) != o.trees.end();
    if (wanted) r.trees.push_back(std::move(tree));
  }
  for (const std::string& name : o.trees) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return make_error(ErrorCode::kUsage, "--tree {}: there is no such tree; there are {}", name,
                        fmt::join(names, ", "));
    }
  }
  return r;
}

// " --project FOLDER" for a command that takes it, where it is not this folder.
std::string project_flag(const CLI::App& command, const std::string& text, const Rules& rules) {
  if (rules.folder == "." || text.find("--project") != std::string::npos ||
      command.get_option_no_throw("--project") == nullptr)
    return "";
  const bool plain = rules.folder.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-") ==
                     std::string::npos;
  if (plain) return " --project " + rules.folder;
  std::string quoted;
  for (const char c : rules.folder) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return " --project '" + quoted + "'";
}

// A command of weir's that this version has not got says so.
std::string try_text(const ops::Action& action, const Rules& rules, const ops::Intake& intake) {
  std::string text = ops::try_line(action, intake);
  std::string_view left = text;
  for (const CLI::App* next = rules.program; next != nullptr;) {
    left.remove_prefix(std::min(left.size(), left.find(' ')));
    left.remove_prefix(left.empty() ? 0 : 1);
    const std::string_view word = left.substr(0, left.find(' '));
    const auto commands = next->get_subcommands({});
    // A flag, or an argument of a command without groups.
    if (!text.starts_with("weir ")) return text;
    if (commands.empty() || word.empty() || word[0] == '-')
      return text + project_flag(*next, text, rules);
    const auto found = std::find_if(commands.begin(), commands.end(),
                                    [&](const CLI::App* c) { return c->get_name() == word; });
    next = found == commands.end() ? nullptr : *found;
  }
  return fmt::format("(not in this version: {})", text);
}

// "slo.throughput_tok_s 20000 tokens/s".
std::string tested_text(const ops::WalkStep& step) {
  std::string out;
  for (const auto& [path, value] : step.tested)
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", path, value);
  return out;
}

void print_walk(const ops::Walk& walk) {
  fmt::print("{}: {}\n", walk.tree->name, walk.tree->title);
  for (const ops::WalkStep& step : walk.steps) {
    const std::string indent(2 * step.depth, ' ');
    const ops::TreeNode& n = *step.node;
    if (!n.walk.empty()) continue;
    if (n.leaf) {
      fmt::print("{}→ {}\n", indent,
                 n.actions.empty() ? n.say : fmt::format("{}", fmt::join(n.actions, ", ")));
      continue;
    }
    fmt::print("{}{}\n{}  {} → {}{}\n", indent, n.ask, indent, tested_text(step), step.answer,
               step.assumed ? " (assumed)" : "");
  }
}

void print_expectation(const ops::Expectation& e, const ops::Sources& sources) {
  fmt::print("     expect   {}: {} [{}", e.what, e.value, e.kind);
  if (e.kind == "sourced") {
    const ops::Source* s = sources.find(e.source);
    const ops::SourceClaim* claim = s == nullptr ? nullptr : s->claim(e.claim);
    fmt::print(" {}{}{}, read {}{}", e.source, s == nullptr || s->published.empty() ? "" : ", ",
               s == nullptr ? "" : s->published, s == nullptr ? "" : s->accessed,
               claim != nullptr && !claim->read ? ", figure not read again" : "");
  }
  if (!e.file.empty()) fmt::print(" {}", e.file);
  fmt::print("]\n");
  if (!e.comparable.empty()) fmt::print("              comparable: {}\n", e.comparable);
}

void print_action(size_t number, const ops::AdvisedAction& a, const Rules& rules,
                  const ops::Intake& intake) {
  const ops::Action& action = *a.action;
  fmt::print("\n{:>2}. {}   [{}{}; {}]\n", number, action.title, ops::eases_name(action.eases),
             a.share > 0 ? fmt::format(", {:.0f} % of a request's time", 100 * a.share) : "",
             fmt::join(a.from, ", "));
  for (const std::string& step : action.steps) fmt::print("     - {}\n", step);
  for (const ops::Expectation& e : action.expect) print_expectation(e, rules.sources);
  for (const std::string& text : action.assumes) fmt::print("     assumes  {}\n", text);
  fmt::print("     try      {}\n     proves   {}\n     rollback {}\n",
             try_text(action, rules, intake), action.proves, action.rollback);
}

void print_text(const ops::Advice& advice, const Rules& rules, const ops::Intake& intake,
                const std::vector<const ops::IntakeField*>& missing, const Options& o) {
  for (const ops::IntakeConflict& c : ops::find_conflicts(intake))
    fmt::print("both cannot be: {}\n", c.what);
  fmt::print("{}", ops::assumed_text(advice, rules.trees, missing, o.assume || o.verbose));
  for (const ops::Walk& walk : advice.walks) {
    print_walk(walk);
    fmt::print("\n");
  }
  const ops::Latency& l = advice.latency;
  if (l.known) {
    fmt::print("A request's time: queue {:.0f} ms, prefill {:.0f} ms, decode {:.0f} ms ({})\n",
               l.queue_ms, l.prefill_ms, l.decode_ms, l.how);
  } else {
    fmt::print(
        "Where a request's time goes is not known; weir intake --metrics URL measures it.\n");
  }
  size_t number = 0, left_out = 0;
  for (const ops::AdvisedAction& a : advice.actions) {
    if (a.state != ops::ActionState::kDo) continue;
    if (o.limit > 0 && number == o.limit) {
      ++left_out;
    } else {
      print_action(++number, a, rules, intake);
    }
  }
  if (left_out > 0) fmt::print("\n    and {} more: --limit 0\n", left_out);
  for (const ops::AdvisedAction& a : advice.actions) {
    if (a.state == ops::ActionState::kDo) continue;
    fmt::print("\n  - {}: {} ({})\n", a.action->title,
               a.state == ops::ActionState::kAlready ? "already so" : "not here, it needs",
               a.state == ops::ActionState::kAlready ? a.action->already->text()
                                                     : a.action->needs->text());
  }
}

// Topics that age: which brief their advice rests on, or that it is unverified.
void print_briefs(const std::vector<ops::BriefState>& briefs) {
  if (!briefs.empty()) fmt::print("\nWhat ages, by topic:\n");
  for (const ops::BriefState& b : briefs) fmt::print("  {}\n", b.text());
}

Json briefs_json(const std::vector<ops::BriefState>& briefs) {
  Json out = Json::array();
  for (const ops::BriefState& b : briefs) {
    Json j = Json::object();
    j.set("topic", b.topic->id);
    j.set("verified", b.kind == ops::BriefState::Kind::kFresh);
    if (!b.brief.file.empty()) {
      j.set("file", "evidence/" + b.brief.file);
      j.set("written", b.brief.written);
      j.set("age_days", b.age_days);
    }
    j.set("text", b.text());
    out.push_back(std::move(j));
  }
  return out;
}

Json step_json(const ops::WalkStep& step) {
  Json j = Json::object();
  j.set("node", step.node->name);
  if (!step.node->ask.empty()) j.set("ask", step.node->ask);
  Json tested = Json::object();
  for (const auto& [path, value] : step.tested) tested.set(path, value);
  if (tested.size() > 0) j.set("tested", std::move(tested));
  if (!step.answer.empty()) j.set("answer", step.answer);
  if (step.assumed) j.set("assumed", true);
  if (!step.node->say.empty()) j.set("say", step.node->say);
  return j;
}

Json texts_json(const std::vector<std::string>& texts) {
  Json out = Json::array();
  for (const std::string& t : texts) out.push_back(t);
  return out;
}

Json action_json(const ops::AdvisedAction& a, const Rules& rules, const ops::Intake& intake) {
  constexpr std::string_view kStates[] = {"do", "already", "impossible"};
  Json j = Json::object();
  j.set("id", a.action->id);
  j.set("title", a.action->title);
  j.set("state", kStates[static_cast<size_t>(a.state)]);
  j.set("eases", ops::eases_name(a.action->eases));
  if (a.share > 0) j.set("share", a.share);
  j.set("from", texts_json(a.from));
  j.set("steps", texts_json(a.action->steps));
  Json expect = Json::array();
  for (const ops::Expectation& e : a.action->expect) {
    Json x = Json::object();
    x.set("what", e.what);
    x.set("value", e.value);
    x.set("class", e.kind);
    if (const ops::Source* s = rules.sources.find(e.source)) {
      x.set("source", s->id);
      x.set("url", s->url);
      x.set("published", s->published);
      x.set("accessed", s->accessed);
    }
    if (!e.file.empty()) x.set("file", e.file);
    if (!e.comparable.empty()) x.set("comparable", e.comparable);
    expect.push_back(std::move(x));
  }
  j.set("expect", std::move(expect));
  j.set("assumes", texts_json(a.action->assumes));
  j.set("try", try_text(*a.action, rules, intake));
  j.set("proves", a.action->proves);
  j.set("rollback", a.action->rollback);
  return j;
}

void print_json(const ops::Advice& advice, const Rules& rules, const ops::Intake& intake,
                const std::vector<const ops::IntakeField*>& missing,
                const std::vector<ops::BriefState>& briefs, size_t limit) {
  Json walks = Json::array();
  for (const ops::Walk& walk : advice.walks) {
    Json steps = Json::array();
    for (const ops::WalkStep& step : walk.steps) steps.push_back(step_json(step));
    Json w = Json::object();
    w.set("tree", walk.tree->name);
    w.set("steps", std::move(steps));
    walks.push_back(std::move(w));
  }
  Json actions = Json::array();
  for (const ops::AdvisedAction& a : advice.actions) {
    if (limit > 0 && actions.size() == limit) break;
    actions.push_back(action_json(a, rules, intake));
  }
  Json unknown = Json::array();
  for (const ops::IntakeField* f : missing) unknown.push_back(f->key.path);
  Json j = Json::object();
  Json conflicts = Json::array();
  for (const ops::IntakeConflict& c : ops::find_conflicts(intake)) conflicts.push_back(c.what);
  j.set("missing", std::move(unknown));
  j.set("conflicts", std::move(conflicts));
  j.set("assumed", texts_json(advice.missing));
  if (advice.latency.known) {
    Json l = Json::object();
    l.set("queue_ms", advice.latency.queue_ms);
    l.set("prefill_ms", advice.latency.prefill_ms);
    l.set("decode_ms", advice.latency.decode_ms);
    l.set("how", advice.latency.how);
    j.set("latency", std::move(l));
  }
  if (limit == 0) j.set("trees", std::move(walks));
  if (actions.size() < advice.actions.size())
    j.set("actions_left_out", static_cast<int64_t>(advice.actions.size() - actions.size()));
  j.set("actions", std::move(actions));
  j.set("briefs", briefs_json(briefs));
  fmt::print("{}\n", j.dump());
}

Result<int> explain(const Options& o, const Rules& rules) {
  const size_t slash = o.explain.find('/');
  const std::string tree_name = slash == std::string::npos ? "start" : o.explain.substr(0, slash);
  const std::string name = slash == std::string::npos ? o.explain : o.explain.substr(slash + 1);
  for (const ops::Tree& tree : rules.trees) {
    const ops::TreeNode* n = tree.name == tree_name ? tree.find(name) : nullptr;
    if (n == nullptr) continue;
    fmt::print("{}/{}\n", tree.name, n->name);
    if (!n->ask.empty()) fmt::print("  {}\n", n->ask);
    if (n->condition) {
      fmt::print("  yes, if {}\n  yes → {}, no → {}; not known: {}\n", n->condition->text(), n->yes,
                 n->no, n->unknown);
    }
    for (const auto& [value, target] : n->cases)
      fmt::print("  {} = {} → {}\n", n->of->key.path, value, target);
    if (!n->say.empty()) fmt::print("  {}\n", n->say);
    for (const std::string& id : n->actions) {
      const auto found = rules.actions.find(id);
      fmt::print("  do {}: {}\n", id, found == rules.actions.end() ? "" : found->second.title);
    }
    for (const std::string& id : n->because) {
      const ops::Source* s = rules.sources.find(id);
      if (s == nullptr) continue;
      fmt::print("  because {}: {} ({}, {})\n          {}\n", id, s->title, s->publisher,
                 s->published, s->url);
      for (const ops::SourceClaim& c : s->claims) fmt::print("          {}\n", c.text);
    }
    return kExitOk;
  }
  return make_error(
      ErrorCode::kUsage,
      "--explain {}: there is no such node; write TREE/NODE, weir advise --list shows "
      "the trees",
      o.explain);
}

void list(const Rules& rules) {
  for (const ops::Tree& tree : rules.trees) {
    fmt::print("{:<16} {}\n", tree.name, tree.title);
    for (const ops::TreeNode& n : tree.nodes)
      fmt::print("  {}/{}{}\n", tree.name, n.name, n.leaf ? "  (leaf)" : "");
  }
}

// Exit 1 with what cannot be, and with questions, those that could change most first.
int refuse(const std::vector<const ops::IntakeField*>& missing,
           const std::vector<ops::IntakeConflict>& conflicts, const Options& o) {
  if (o.json) {
    Json fields = Json::array();
    for (const ops::IntakeField* f : missing) {
      Json j = Json::object();
      j.set("field", f->key.path);
      j.set("question", f->question);
      fields.push_back(std::move(j));
    }
    Json both = Json::array();
    for (const ops::IntakeConflict& c : conflicts) both.push_back(c.what);
    Json j = Json::object();
    j.set("missing", std::move(fields));
    j.set("conflicts", std::move(both));
    fmt::print("{}\n", j.dump());
    return kExitNo;
  }
  if (!conflicts.empty()) {
    fmt::print("No advice yet: {} pairs of values cannot hold together:\n\n", conflicts.size());
    for (const ops::IntakeConflict& c : conflicts) fmt::print("{}\n", c.what);
    fmt::print("\nweir intake --set mends them; weir advise --assume goes on all the same.\n");
  }
  if (missing.empty()) return kExitNo;
  fmt::print(
      "No advice yet: {} required values are missing. Those that could change most first:\n\n",
      missing.size());
  for (const ops::IntakeField* f : missing)
    fmt::print("{}\n    weir intake --set {}=...\n", f->question, f->key.path);
  fmt::print("\nweir intake --ask asks for them; weir advise --assume goes on without.\n");
  return kExitNo;
}

// Beside the advice, which goes to standard output as without --graph.
Status draw(const Options& o, const Rules& rules, const ops::Advice& advice) {
  if (rules.trees.size() != 1) {
    return make_error(ErrorCode::kUsage, "--graph {}: name one tree with --tree", o.graph);
  }
  const bool svg = o.graph.ends_with(".svg");
  const std::string picture = svg ? ops::tree_svg(rules.trees[0], &advice.walks[0])
                                  : ops::tree_mermaid(rules.trees[0], &advice.walks[0]);
  WEIR_TRY(os::write_file_atomic(o.graph, picture));
  fmt::print(stderr, "weir: {}: the tree {}, with the way that was taken{}\n", o.graph,
             rules.trees[0].name, svg ? "" : ", as Mermaid");
  return {};
}

// The plan that the project keeps, if it has one.
Result<std::optional<ops::PlanFile>> project_plan(const ops::Project& project) {
  auto plan = ops::read_plan_file(project.path("plan.json"));
  if (plan.ok()) return std::optional(*std::move(plan));
  if (plan.error().code == ErrorCode::kNotFound) return std::optional<ops::PlanFile>();
  return plan.error();
}

Result<int> advise(const Options& o, const CLI::App& program) {
  if (!o.question.empty()) {
    WEIR_ASSIGN(const ops::QuestionPage page,
                ops::question_page(o.question, o.folder, ops::today(SystemClock())));
    fmt::print("{}", page.text);
    return kExitOk;
  }
  WEIR_ASSIGN(const Rules rules, load_rules(o, program));
  if (o.list) {
    list(rules);
    return kExitOk;
  }
  if (!o.explain.empty()) return explain(o, rules);
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
  WEIR_TRY(check_outputs({{"--graph", o.graph}}, ops::own_files(o.folder)));
  WEIR_ASSIGN(const ops::Intake given, ops::read_intake(project.intake()));
  const ops::Intake intake = ops::with_inferred(given);
  const auto missing = ops::by_weight(intake.missing(), ops::field_weights(rules.trees));
  const auto conflicts = ops::find_conflicts(intake);
  if (!o.assume && (!missing.empty() || !conflicts.empty())) return refuse(missing, conflicts, o);
  WEIR_ASSIGN(const auto plan, project_plan(project));
  WEIR_ASSIGN(const ops::Advice advice,
              ops::advise(rules.trees, rules.actions, intake, plan ? &*plan : nullptr));
  if (!o.graph.empty()) WEIR_TRY(draw(o, rules, advice));
  WEIR_ASSIGN(const auto briefs, ops::brief_states(project.evidence(), rules.trends, rules.trees,
                                                   ops::today(SystemClock())));
  if (o.json) {
    print_json(advice, rules, intake, missing, briefs, o.limit);
  } else {
    print_text(advice, rules, intake, missing, o);
    print_briefs(briefs);
  }
  return kExitOk;
}

}  // namespace

void add_advise(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(root, "advise", "What to do, by decision trees over the intake",
                            "  weir advise --project serving\n"
                            "  weir advise --assume --tree start --graph tree.svg\n"
                            "  weir advise --explain start/throughput\n"
                            "  weir advise --list\n");
  c->add_option("--project", o->folder, "the project's folder (weir init)")->capture_default_str();
  c->add_option("--tree", o->trees, "only this tree; repeatable (default: all)");
  c->add_flag("--assume", o->assume,
              "go on where required values are missing; what is assumed comes first");
  c->add_option("--explain", o->explain,
                "TREE/NODE: its condition, where it leads, and its sources");
  c->add_option("--graph", o->graph,
                "write the tree with the way taken as well: FILE.svg, or FILE.mmd for Mermaid");
  c->add_option(
      "--question", o->question,
      "a question whose answer ages: what to search, how old the evidence is, and a brief to "
      "fill (as weir sources brief new)");
  c->add_flag("--list", o->list, "the trees and their nodes");
  c->add_flag("-v,--verbose", o->verbose, "every step that had to be assumed");
  c->add_option("--limit", o->limit,
                "at most so many actions, with --json without the ways through the trees; 0: all")
      ->capture_default_str()
      ->check(CLI::Range(0, 1'000'000));
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &root, &selected] { selected.action = [o, &root] { return advise(*o, root); }; });
}

}  // namespace weir::cli
