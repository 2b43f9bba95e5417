// weir config: what a server would run with, and whether a file is right.
#include <fmt/format.h>

#include <memory>

#include "cli/command.h"
#include "cli/key_flags.h"
#include "cli/serve_options.h"

namespace weir::cli {
namespace {

struct Options {
  ServeGiven given;
  std::string file;  // of check
  bool json = false;
};

Result<int> show(const Options& o) {
  WEIR_ASSIGN(const config::Settings settings,
              resolve_settings(o.given.table.keys(), o.given.flags, o.given.config_file));
  fmt::print("{}", o.json ? config::show_json(settings) + "\n" : config::show_table(settings));
  return kExitOk;
}

// What the values say together, and the files that they name.
Status check_values(const config::Table<ServeOptions>& table, const config::Settings& settings) {
  WEIR_ASSIGN(const ServeOptions options, make_options(table, settings));
  WEIR_TRY(options.telemetry.log_options());
  return check_options(options);
}

Result<int> check(const Options& o) {
  WEIR_ASSIGN(const config::Settings settings, resolve_settings(o.given.table.keys(), {}, o.file));
  const Status ok = check_values(o.given.table, settings);
  if (!ok.ok()) return make_error(ErrorCode::kCorrupt, "{}: {}", o.file, ok.error().message);
  size_t set = 0;
  for (const config::Setting& s : settings.all()) set += s.origin == config::Origin::kFile ? 1 : 0;
  if (o.json) {
    fmt::print("{{\"ok\":true,\"keys\":{}}}\n", set);
  } else {
    fmt::print("{}: ok, {} keys\n", o.file, set);
  }
  return kExitOk;
}

}  // namespace

void add_config(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callbacks and the actions outlive
                                         // this call
  CLI::App* c = add_command(root, "config", "The configuration of weir serve",
                            "  weir config show --config weir.yaml\n"
                            "  weir config show --config weir.yaml --port 9000 --json\n"
                            "  weir config check weir.yaml\n");
  c->require_subcommand(1);
  CLI::App* s = add_command(*c, "show", "Each effective value and where it comes from",
                            "  weir config show --config weir.yaml\n"
                            "  WEIR_PORT=9000 weir config show --json\n");
  add_serve_flags(s, o->given);
  s->add_flag("--json", o->json, "one JSON document");
  s->callback([o, &selected] { selected.action = [o] { return show(*o); }; });
  CLI::App* k =
      add_command(*c, "check", "Whether a file is right", "  weir config check weir.yaml\n");
  k->add_option("FILE", o->file, "the YAML file")->required();
  k->add_flag("--json", o->json, "one JSON document");
  k->callback([o, &selected] { selected.action = [o] { return check(*o); }; });
}

}  // namespace weir::cli
