// weir config: what a server would run with, whether a file is right, of weir and of other engines,
// what becomes of it in another version, and files made of a plan.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "cli/command.h"
#include "cli/config_check.h"
#include "cli/config_migrate.h"
#include "cli/config_write.h"
#include "cli/key_flags.h"
#include "cli/serve_options.h"
#include "ops/lint/rules.h"
#include "plot/text.h"

namespace weir::cli {
namespace {

struct Options {
  ServeGiven given;
  std::vector<std::string> words;  // [ENGINE] FILE of check
  CheckOptions check;
  MigrateOptions migrate;
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

// The rules of config check that weir's own keys can break, by the names of the keys.
std::vector<ops::Finding> lint(const config::Settings& settings) {
  ops::FactSet facts;
  for (const config::Setting& s : settings.all()) {
    const size_t colon = s.where.rfind(':');
    const bool file = s.origin == config::Origin::kFile;
    int line = 0;  // of what is no number, too
    if (file && colon != std::string::npos)
      std::from_chars(&s.where[colon + 1], s.where.data() + s.where.size(), line);
    facts.set(s.key->path, config::show(*s.key, s.value), line, file);
  }
  facts.set("engine", "weir");
  return ops::LintRules::built_in().evaluate(facts, 1);
}

Result<int> check_weir(const Options& o, const std::string& file) {
  WEIR_ASSIGN(const config::Settings settings, resolve_settings(o.given.table.keys(), {}, file));
  const Status ok = check_values(o.given.table, settings);
  if (!ok.ok()) return make_error(ErrorCode::kCorrupt, "{}: {}", file, ok.error().message);
  size_t set = 0;
  for (const config::Setting& s : settings.all()) set += s.origin == config::Origin::kFile ? 1 : 0;
  const std::vector<ops::Finding> findings = lint(settings);
  const bool clean = std::all_of(findings.begin(), findings.end(), [](const ops::Finding& f) {
    return f.severity == ops::Severity::kHint;
  });
  if (o.json) {
    text::Json j = text::Json::object();
    j.set("ok", clean);
    j.set("keys", static_cast<int64_t>(set));
    if (!findings.empty()) j.set("findings", findings_json(findings));
    fmt::print("{}\n", j.dump());
    return clean ? kExitOk : kExitNo;
  }
  print_findings(file, findings);
  fmt::print("{}: {}, {} keys\n", file, clean ? "ok" : "not as it should be in production", set);
  return clean ? kExitOk : kExitNo;
}

Result<int> check(const Options& o) {
  CheckOptions engine = o.check;
  engine.file = o.words.back();
  engine.engine = o.words.size() > 1 ? o.words.front() : "";
  // The form is seen in the file itself.
  if (engine.engine == "kubernetes" || engine.engine == "compose") engine.engine = "";
  engine.json = o.json;
  if (is_gateway_file(engine.file))
    return make_error(ErrorCode::kUsage,
                      "{}: a file of weir gateway's: weir gateway --check {} reads it as a start "
                      "would",
                      plot::printable(engine.file), plot::printable(engine.file));
  if (engine.engine == "weir" || (engine.engine.empty() && is_weir_file(engine.file)))
    return check_weir(o, engine.file);
  Result<int> found = check_engine_file(engine);
  // Keys of no engine: weir's own reader names the nearest of its keys.
  if (!found.ok() && found.error().code == ErrorCode::kUnsupported && engine.engine.empty() &&
      is_plain_map(engine.file))
    return check_weir(o, engine.file);
  return found;
}

}  // namespace

void add_config(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callbacks and the actions outlive
                                         // this call
  CLI::App* c = add_command(root, "config", "Configurations of weir and of other engines",
                            "  weir config show --config weir.yaml\n"
                            "  weir config show --config weir.yaml --port 9000 --json\n"
                            "  weir config check weir.yaml\n"
                            "  weir config check deployment.yaml\n"
                            "  weir config migrate serve.sh --from vllm-0.22.0 --to vllm-0.33.0\n"
                            "  weir config kubernetes --plan plan.json --env prod\n");
  c->require_subcommand(1);
  CLI::App* s = add_command(*c, "show", "Each effective value and where it comes from",
                            "  weir config show --config weir.yaml\n"
                            "  WEIR_PORT=9000 weir config show --json\n");
  add_serve_flags(s, o->given);
  s->add_flag("--json", o->json, "one JSON document");
  s->callback([o, &selected] { selected.action = [o] { return show(*o); }; });
  CLI::App* k = add_command(*c, "check", "Whether a file is right: exit 1 for errors and warnings",
                            "  weir config check weir.yaml\n"
                            "  weir config check deployment.yaml --model qwen3-32b "
                            "--accelerator nvidia-h100-sxm\n"
                            "  weir config check vllm serve.sh --engine-version 0.22.0\n");
  k->add_option(
       "FILE", o->words,
       "[ENGINE] FILE: weir.yaml; a command line, docker run, Compose file or manifest of "
       "vLLM, SGLang, llama.cpp, TensorRT-LLM, TGI or LMDeploy; a file of an engine's keys")
      ->required()
      ->expected(1, 2);
  add_check_options(k, o->check);
  k->add_flag("--json", o->json, "one JSON document");
  k->callback([o, &selected] { selected.action = [o] { return check(*o); }; });
  CLI::App* m = add_command(
      *c, "migrate", "What becomes of a file in another version of its engine",
      "  weir config migrate serve.sh --from vllm-0.22.0 --to vllm-0.33.0\n"
      "  weir config migrate serve.sh --from vllm-0.22.0 --to vllm-0.33.0 --pin | patch\n");
  add_migrate_options(m, o->migrate);
  m->callback([o, &selected] { selected.action = [o] { return migrate_file(o->migrate); }; });
  add_config_writers(*c, selected);
}

}  // namespace weir::cli
