// weir skill: the pack of pages for agents, held to its rules, and put where they look.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "cli/model_path.h"
#include "cli/ops_commands.h"
#include "ops/skill/install.h"
#include "ops/skill/skill_lint.h"
#include "os/file.h"
#include "os/job.h"
#include "os/run_program.h"
#include "os/signals.h"
#include "os/temp_dir.h"

namespace weir::cli {
namespace {

namespace fs = std::filesystem;
constexpr const char* kDefaultModel = "smollm2-135m-instruct";
constexpr int kParserMs = 20'000;

struct Options {
  ops::SkillLintOptions lint;
  ops::SkillInstall install;
  std::string model;
  std::string root;
  int block_timeout_s = 60;
  bool no_run = false;
  bool json = false;
};

std::string this_program() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).string();
}

// What a child says of a file, when it does not take it; "" when it does.
std::string complaint(const std::vector<std::string>& command) {
  os::JobSpec spec;
  spec.command = command;
  spec.merge = true;
  auto job = os::Job::start(spec);
  if (!job.ok()) return job.error().message;
  const os::JobEnd end = job->wait(kParserMs);
  if (end.why == os::JobEnd::Why::kExited && end.code == 0) return "";
  return end.output.empty() ? "its parser did not end well" : end.output;
}

// weir config check, whose schema stands above ops/. Warnings are no errors: exit code 1 with
// nothing but those.
std::string check_weir(const std::string& text, const std::string& name) {
  const os::TempDir folder;
  const std::string file = folder.file(name.ends_with(".sh") ? "weir.sh" : "weir.yaml");
  if (const Status s = os::write_file_atomic(file, text); !s.ok()) return s.error().message;
  std::string said = complaint({this_program(), "config", "check", "weir", file});
  for (size_t at = said.find(file); at != std::string::npos; at = said.find(file, at))
    said.replace(at, file.size(), name);
  return said.find(": error: ") == std::string::npos && said.find("weir: ") == std::string::npos
             ? ""
             : said;
}

std::string check_python(const std::string& python, const std::string& text) {
  const os::TempDir folder;
  const std::string file = folder.file("block.py");
  if (const Status s = os::write_file_atomic(file, text); !s.ok()) return s.error().message;
  return complaint(
      {python, "-I", "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())", file});
}

ops::BlockParsers parsers() {
  ops::BlockParsers out;
  out.weir = check_weir;
  const std::string python = os::find_program("python3");
  if (!python.empty())
    out.python = [python](const std::string& text) { return check_python(python, text); };
  return out;
}

// weir on PATH, and no settings of whoever runs the lint.
std::vector<std::pair<std::string, std::string>> block_environment() {
  std::vector<std::pair<std::string, std::string>> out;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string_view entry(*e);
    if (entry.starts_with("WEIR_")) out.emplace_back(entry.substr(0, entry.find('=')), "");
  }
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): one thread
  out.emplace_back("PATH", fmt::format("{}:{}", fs::path(this_program()).parent_path().string(),
                                       path == nullptr ? "/usr/bin:/bin" : path));
  return out;
}

Status find_model(const Options& o, ops::BlockRunOptions& blocks) {
  const auto path = resolve_model(o.model.empty() ? kDefaultModel : o.model);
  if (!path.ok()) {
    if (!o.model.empty()) return path.error();
    fmt::print(stderr, "weir: {}; blocks that need a model are skipped\n", path.error().message);
    return {};
  }
  blocks.model = fs::absolute(*path).string();
  blocks.model_name = model_name(*path);
  return {};
}

Result<int> lint(const Options& given) {
  ops::SkillLintOptions o = given.lint;
  // Before any thread starts: a signal ends what was started, then this.
  WEIR_ASSIGN(os::Signals signals, os::Signals::block({SIGINT, SIGTERM}));
  std::mutex mutex;
  bool stop = false;
  o.blocks.stopped = [&] {
    const std::lock_guard lock(mutex);
    const auto signal = signals.wait(0);
    stop = stop || (signal.ok() && signal->has_value());
    return stop;
  };
  o.blocks.progress = [](std::string_view line) { fmt::print(stderr, "weir: {}\n", line); };
  o.blocks.weir = this_program();
  o.blocks.environment = block_environment();
  o.blocks.timeout_ms = given.block_timeout_s * 1000;
  o.run = !given.no_run;
  o.root = given.root.empty() ? fs::absolute(o.folder).lexically_normal().parent_path().string()
                              : given.root;
  if (given.root.empty() && fs::path(o.folder).filename().empty())  // "skill/"
    o.root = fs::path(o.root).parent_path().string();
  o.parsers = parsers();
  for (std::string* file : {&o.blocks.corpus, &o.blocks.trace}) {
    if (!file->empty()) *file = fs::absolute(*file).string();
  }
  if (o.run) WEIR_TRY(find_model(given, o.blocks));
  WEIR_ASSIGN(const ops::SkillLintReport report, ops::lint_skill(o));
  fmt::print(
      "{}", given.json ? ops::skill_lint_json(report).dump() + "\n" : ops::skill_lint_text(report));
  return report.findings.empty() ? kExitOk : kExitNo;
}

// "weir" where PATH leads to this program, else its path.
std::string command_name() {
  std::string self = this_program();
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): one thread
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    const fs::path candidate = fs::path(rest.substr(0, end)) / "weir";
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::error_code error;
    if (!fs::exists(candidate, error)) continue;
    return fs::equivalent(candidate, self, error) ? "weir" : self;
  }
  return self;
}

Result<int> install(const Options& given) {
  ops::SkillInstall request = given.install;
  request.command = command_name();
  WEIR_ASSIGN(const ops::SkillInstalled done, ops::install_skill(request));
  if (given.json) {
    text::Json j = text::Json::object();
    j.set("pack", done.pack);
    j.set("files", static_cast<int64_t>(done.files));
    j.set("pack_written", done.pack_written);
    j.set("mcp_file", done.mcp_file);
    j.set("entry_written", done.entry_written);
    fmt::print("{}\n", j.dump());
    return kExitOk;
  }
  fmt::print("{}: {} files{}\n{}: mcpServers.weir runs \"{} mcp\"{}\n", done.pack, done.files,
             done.pack_written ? "" : ", as they were", done.mcp_file, request.command,
             done.entry_written ? "" : ", as it was");
  return kExitOk;
}

void add_lint(CLI::App& skill, const std::shared_ptr<Options>& o, Selected& selected) {
  CLI::App* c = add_command(
      skill, "lint", "Whether the pages hold: sections, tags, sources, and every block",
      "  weir skill lint                            skill/, with all blocks; exit 1 with findings\n"
      "  weir skill lint --no-run --page kv-cache   what is seen without running anything\n"
      "  weir skill lint skill --model model.gguf --json\n");
  c->add_option("DIR", o->lint.folder, "the folder of the pack")->capture_default_str();
  c->add_option("--page", o->lint.page, "only pages whose name holds this");
  c->add_flag("--no-run", o->no_run, "runs no block; the others are parsed");
  c->add_option("--model", o->model, "$MODEL of the blocks; without it smollm2-135m-instruct");
  c->add_option("--corpus", o->lint.blocks.corpus, "$CORPUS, a text; without it the pages' own");
  c->add_option("--trace", o->lint.blocks.trace,
                "$TRACE, in Azure's columns; without it 80 requests");
  c->add_option("--root", o->root, "where [measured: FILE] looks; without it the folder above DIR");
  c->add_option("--pages-at-once", o->lint.blocks.pages_at_once, "pages whose blocks run at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  c->add_option("--block-timeout", o->block_timeout_s, "seconds that a block may take")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return lint(*o); }; });
}

}  // namespace

void add_skill(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callbacks and the actions outlive
                                         // this call
  o->lint.folder = "skill";
  o->install.agent = "claude";
  CLI::App* c = add_command(root, "skill", "The skill pack: pages that an agent reads and can run",
                            "  weir skill lint\n"
                            "  weir skill install .\n");
  c->require_subcommand(1);
  add_lint(*c, o, selected);
  CLI::App* i =
      add_command(*c, "install", "Puts the pack and the MCP entry where an agent looks",
                  "  weir skill install .                   .claude/skills/weir, .mcp.json\n"
                  "  weir skill install . --agent generic   .agents/skills/weir\n");
  i->add_option("DIR", o->install.folder, "the project's folder")->required();
  i->add_option("--agent", o->install.agent, "whose folder for skills")
      ->check(CLI::IsMember({"claude", "generic"}))
      ->capture_default_str();
  i->add_flag("--force", o->install.force, "replaces a pack or an entry that differs");
  i->add_flag("--json", o->json, "one JSON document");
  i->callback([o, &selected] { selected.action = [o] { return install(*o); }; });
}

}  // namespace weir::cli
