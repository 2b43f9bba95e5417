#include "cli/config_migrate.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "ops/lint/migrate.h"
#include "text/json.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;

text::Json as_json(const ops::Migration& m) {
  text::Json notes = text::Json::array();
  for (const ops::MigrationNote& n : m.notes) {
    text::Json j = text::Json::object();
    j.set("kind", ops::note_name(n.kind));
    j.set("line", int64_t{n.line});
    j.set("text", n.text);
    if (!n.source.empty()) j.set("source", n.source);
    notes.push_back(std::move(j));
  }
  text::Json defaults = text::Json::array();
  for (const ops::DefaultChange& d : m.defaults) {
    text::Json j = text::Json::object();
    j.set("flag", d.flag);
    j.set("before", d.before);
    j.set("after", d.after);
    if (!d.pin.empty()) j.set("pin", d.pin);
    defaults.push_back(std::move(j));
  }
  text::Json commands = text::Json::array();
  for (const std::string& c : m.commands) commands.push_back(c);
  text::Json j = text::Json::object();
  j.set("notes", std::move(notes));
  j.set("defaults", std::move(defaults));
  j.set("diff", m.diff);
  j.set("commands", std::move(commands));
  return j;
}

// Lines before and after the diff are none of its own, so that patch reads the whole.
void print(const MigrateOptions& o, const ops::Migration& m) {
  fmt::print("# {}: {} to {}\n", o.file, o.from, o.to);
  for (const ops::MigrationNote& n : m.notes) {
    fmt::print("# {}:{}: {}: {}\n", o.file, n.line, ops::note_name(n.kind), n.text);
    if (!n.source.empty()) fmt::print("#     source: {}\n", n.source);
  }
  for (const ops::DefaultChange& d : m.defaults) {
    fmt::print("# default: {} was {}, is {}{}\n", d.flag, d.before, d.after,
               d.pin.empty() ? "" : fmt::format("; {} keeps the old one", d.pin));
  }
  if (m.diff.empty()) fmt::print("# nothing changes in the file\n");
  fmt::print("{}", m.diff);
  for (const std::string& c : m.commands) fmt::print("# command: {}\n", c);
}

}  // namespace

void add_migrate_options(CLI::App* command, MigrateOptions& o) {
  command->add_option("FILE", o.file, "a command line, docker run, Compose file or manifest")
      ->required();
  command->add_option("--from", o.from, "the engine and version it was written for")->required();
  command->add_option("--to", o.to, "the version it is for")->required();
  command->add_flag("--pin", o.pin, "keep the old value of every default that changed");
  command->add_flag("--json", o.json, "one JSON document");
}

Result<int> migrate_file(const MigrateOptions& o) {
  auto from = ops::parse_release(o.from);
  if (!from.ok()) return from.error().with_context("--from");
  auto to = ops::parse_release(o.to);
  if (!to.ok()) return to.error().with_context("--to");
  if (from->engine != to->engine)
    return make_error(ErrorCode::kUsage, "--from {} --to {}: two engines; one engine's versions go",
                      o.from, o.to);
  WEIR_ASSIGN(const std::string text, read_input(o.file, kMaxFileBytes));
  WEIR_ASSIGN(const ops::Migration m, ops::migrate_text(text, o.file, *from, *to, o.pin));
  if (o.json) {
    fmt::print("{}\n", as_json(m).dump());
  } else {
    print(o, m);
  }
  return m.needs_a_person() ? kExitNo : kExitOk;
}

}  // namespace weir::cli
