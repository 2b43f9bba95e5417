// weir intake: what is known of a deployment, from flags, questions, files and machines.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/intake_sources.h"
#include "cli/terminal.h"
#include "ops/advise/walk.h"
#include "ops/intake/conflicts.h"
#include "ops/intake/intake.h"
#include "ops/intake/read_trace.h"
#include "ops/intake/replace.h"
#include "ops/project/folder_lock.h"
#include "ops/project/project.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::cli {
namespace {

struct Options {
  std::string folder = ".";
  IntakeSources sources;
  std::vector<std::string> sets;
  std::vector<std::string> unset;
  bool ask = false;
  bool json = false;
};

// "path=value" of --set.
Status set(const std::string& text, ops::Intake& intake) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) {
    return make_error(ErrorCode::kUsage,
                      "--set {}: must be FIELD=VALUE, such as traffic.concurrency=64; weir intake "
                      "fields lists them",
                      text);
  }
  const Status status = intake.set_text(text.substr(0, equals), text.substr(equals + 1),
                                        ops::Origin::kGiven, "--set");
  if (!status.ok()) return status.error().with_context("--set");
  return {};
}

// One question; empty answers leave it open. False at the end of the input.
bool ask(const ops::IntakeField& field, ops::Intake& intake) {
  for (;;) {
    fmt::print("{}\n  {} ({}): ", field.question, field.key.path, config::describe(field.key));
    std::fflush(stdout);
    std::string line;
    if (!std::getline(std::cin, line)) return false;
    if (line.empty()) return true;
    const Status status = intake.set_text(field.key.path, line, ops::Origin::kGiven, "asked");
    if (status.ok()) return true;
    fmt::print("  {}\n", status.error().message);
  }
}

// The answers alone. Questions follow from what is answered: nothing is asked of RDMA where there
// is one machine.
ops::Intake ask_all(ops::Intake known) {
  fmt::print("What is not known is left open by an empty line.\n");
  ops::Intake answers;
  for (const ops::IntakeField& field : ops::intake_fields()) {
    const auto missing = known.missing();
    if (std::find(missing.begin(), missing.end(), &field) == missing.end()) continue;
    if (!ask(field, answers)) break;
    known.merge(answers);
  }
  fmt::print("\n");
  return answers;
}

text::Json conflicts_json(const ops::Intake& intake) {
  text::Json out = text::Json::array();
  for (const ops::IntakeConflict& c : ops::find_conflicts(intake)) {
    text::Json j = text::Json::object();
    text::Json fields = text::Json::array();
    fields.push_back(c.first);
    fields.push_back(c.second);
    j.set("fields", std::move(fields));
    j.set("what", c.what);
    out.push_back(std::move(j));
  }
  return out;
}

text::Json value_json(const ops::IntakeField& field, const ops::IntakeValue* value) {
  text::Json j = text::Json::object();
  j.set("field", field.key.path);
  if (value == nullptr) {
    j.set("value", text::Json());
    j.set("origin", "missing");
    j.set("question", field.question);
    j.set("wanted", config::describe(field.key));
  } else {
    std::visit(
        [&](const auto& v) {
          if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::vector<std::string>>) {
            text::Json list = text::Json::array();
            for (const std::string& item : v) list.push_back(item);
            j.set("value", std::move(list));
          } else {
            j.set("value", v);
          }
        },
        value->value);
    j.set("origin", ops::origin_name(value->origin));
    if (!value->evidence.empty()) j.set("evidence", value->evidence);
  }
  if (!field.key.spec.unit.empty()) j.set("unit", field.key.spec.unit);
  return j;
}

void print_json(const ops::Intake& intake) {
  text::Json fields = text::Json::array();
  for (const ops::IntakeField& f : ops::intake_fields()) {
    const ops::IntakeValue* value = intake.find(f.key.path);
    if (value != nullptr || f.required) fields.push_back(value_json(f, value));
  }
  text::Json j = text::Json::object();
  j.set("fields", std::move(fields));
  j.set("missing", static_cast<int64_t>(intake.missing().size()));
  j.set("conflicts", conflicts_json(intake));
  fmt::print("{}\n", j.dump());
}

void print_values(const ops::Intake& intake) {
  for (const ops::IntakeGroup& group : ops::intake_groups()) {
    bool titled = false;
    for (const ops::IntakeField& f : ops::intake_fields()) {
      const ops::IntakeValue* v = intake.find(f.key.path);
      if (v == nullptr || !f.key.path.starts_with(fmt::format("{}.", group.name))) continue;
      if (!titled) fmt::print("{}\n", group.title);
      titled = true;
      const std::string shown =
          fmt::format("{} {}", config::show(f.key, v->value), f.key.spec.unit);
      fmt::print("  {:<32} {:<24} {:<9} {}\n", f.key.path, shown, ops::origin_name(v->origin),
                 v->evidence);
    }
  }
}

Result<int> intake(const Options& o) {
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
  WEIR_ASSIGN(const ops::Intake found, read_sources(o.sources, project));
  ops::Intake answers;
  if (o.ask) {
    WEIR_ASSIGN(ops::Intake before_asking, ops::read_intake(project.intake()));
    before_asking.merge(found);
    answers = ask_all(std::move(before_asking));
  }
  // What takes long lies behind: the file is read, changed and written by one command at a time.
  WEIR_ASSIGN(const ops::FolderLock lock, ops::FolderLock::take(project.folder()));
  WEIR_ASSIGN(ops::Intake known, ops::read_intake(project.intake()));
  ops::forget_replaced(known, found);
  const ops::Intake before = known;
  for (const std::string& path : known.merge(found)) {
    if (o.json) continue;
    const ops::IntakeField& field = *ops::find_intake_field(path);
    const ops::IntakeValue& taken = *known.find(path);
    const bool replaced = taken.value == found.find(path)->value;
    const ops::IntakeValue& other = *(replaced ? before : found).find(path);
    fmt::print(stderr, "weir: {}: {} ({}) is taken; the other says {} ({})\n", path,
               config::show(field.key, taken.value), taken.evidence,
               config::show(field.key, other.value), other.evidence);
  }
  WEIR_TRY(ops::infer_concurrency(known));
  for (const std::string& text : o.sets) WEIR_TRY(set(text, known));
  for (const std::string& path : o.unset) {
    if (ops::find_intake_field(path) == nullptr) {
      return make_error(ErrorCode::kUsage, "--unset {}: there is no such field; the nearest is {}",
                        path, ops::nearest_intake_field(path));
    }
    known.erase(path);
  }
  known.merge(answers);
  for (const ops::IntakeConflict& c : ops::find_conflicts(known))
    fmt::print(stderr, "weir: both cannot be: {}\n", c.what);
  WEIR_TRY(os::write_file_atomic(project.intake(), ops::intake_yaml(known)));
  if (o.json) {
    print_json(known);
    return kExitOk;
  }
  print_values(known);
  const size_t missing = known.missing().size();
  fmt::print("\n{}: {} values, {} required ones missing{}\n", project.intake(),
             known.values().size(), missing,
             missing == 0 ? "" : "; weir intake check asks for them");
  return kExitOk;
}

Result<int> check(const Options& o) {
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
  WEIR_ASSIGN(const ops::Intake known, ops::read_intake(project.intake()));
  WEIR_ASSIGN(const auto trees, ops::built_in_trees());
  const auto missing = ops::by_weight(known.missing(), ops::field_weights(trees));
  const auto conflicts = ops::find_conflicts(known);
  const int code = missing.empty() && conflicts.empty() ? kExitOk : kExitNo;
  if (o.json) {
    text::Json questions = text::Json::array();
    for (const ops::IntakeField* f : missing) questions.push_back(value_json(*f, nullptr));
    text::Json j = text::Json::object();
    j.set("missing", std::move(questions));
    j.set("conflicts", conflicts_json(known));
    fmt::print("{}\n", j.dump());
    return code;
  }
  for (const ops::IntakeConflict& c : conflicts) fmt::print("both cannot be: {}\n", c.what);
  if (!conflicts.empty()) fmt::print("\n");
  for (const ops::IntakeField* f : missing) {
    fmt::print("{}\n    --set {}=...   ({})\n", f->question, f->key.path, config::describe(f->key));
  }
  fmt::print("{}{} required values are missing{}\n", missing.empty() ? "" : "\n", missing.size(),
             conflicts.empty() ? "" : fmt::format(", {} conflicts", conflicts.size()));
  return code;
}

Result<int> fields(const Options& o) {
  if (o.json) {
    text::Json all = text::Json::array();
    for (const ops::IntakeField& f : ops::intake_fields()) {
      text::Json j = value_json(f, nullptr);
      j.set("required", f.required);
      j.set("help", f.key.spec.help);
      all.push_back(std::move(j));
    }
    fmt::print("{}\n", all.dump());
    return kExitOk;
  }
  for (const ops::IntakeField& f : ops::intake_fields()) {
    fmt::print("{:<32} {} {}\n    {}\n", f.key.path, f.required ? "*" : " ",
               config::describe(f.key), f.key.spec.help);
  }
  fmt::print("* required\n");
  return kExitOk;
}

void add_project(CLI::App* c, Options& o) {
  c->add_option("--project", o.folder, "the project's folder (weir init)")->capture_default_str();
  c->add_flag("--json", o.json, "one JSON document");
}

}  // namespace

void add_intake(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callbacks and the actions outlive
                                         // this call
  CLI::App* c = add_command(
      root, "intake", "What is known of a deployment, each value with where it comes from",
      "  weir intake --model smollm2-135m-instruct --set traffic.concurrency=64\n"
      "  weir intake --ask                  questions on the terminal\n"
      "  weir intake --trace requests.csv\n"
      "  weir intake --metrics http://127.0.0.1:8000 --window 30s\n"
      "  weir intake check                  what is missing\n"
      "  weir intake fields                 every field: what it means, its unit and range\n");
  c->require_subcommand(0, 1);
  add_project(c, *o);
  add_source_options(c, o->sources);
  c->add_option("--set", o->sets, "FIELD=VALUE, known by a person; repeatable");
  c->add_option("--unset", o->unset, "FIELD that is not known after all; repeatable");
  c->add_flag("--ask", o->ask, "ask for what is missing; an empty line leaves it open");
  // A chosen subcommand's callback runs first, and its action stays.
  c->callback([o, &selected] {
    if (!selected.action) selected.action = [o] { return intake(*o); };
  });
  CLI::App* checks = add_command(
      *c, "check",
      "What is missing, as questions, those first that could change most, and what cannot be; exit "
      "1 if anything is",
      "  weir intake check --project serving\n");
  add_project(checks, *o);
  checks->callback([o, &selected] { selected.action = [o] { return check(*o); }; });
  CLI::App* lists = add_command(*c, "fields", "Every field: what it means, its unit and range",
                                "  weir intake fields --json\n");
  add_project(lists, *o);
  lists->callback([o, &selected] { selected.action = [o] { return fields(*o); }; });
}

}  // namespace weir::cli
