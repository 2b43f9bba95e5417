#include "ops/skill/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ops/deploy/read.h"
#include "ops/engines/catalog.h"
#include "ops/lint/lint.h"
#include "text/json.h"

namespace weir::ops {
namespace {

// Languages of blocks that nothing here parses.
constexpr std::array<std::string_view, 10> kPlain = {
    "text", "promql", "csv", "jsonl", "toml", "ini", "nginx", "haproxy", "dockerfile", "http"};
// Targets whose file says by itself which engine it runs.
constexpr std::array<std::string_view, 3> kForms = {"kubernetes", "compose", "docker"};

template <typename List>
bool among(std::string_view name, const List& list) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

Error wrong(std::string what) { return make_error(ErrorCode::kUnsupported, "{}", what); }

Result<BlockPlan> plan_shell(const PageBlock& block) {
  if (const std::string* run = block.word("run")) {
    if (run->empty()) return BlockPlan{BlockKind::kRun, ""};
    if (*run == "server") return BlockPlan{BlockKind::kRunServer, ""};
    if (*run == "mock") return BlockPlan{BlockKind::kRunMock, ""};
    return wrong(fmt::format("run={}; there are run, run=server and run=mock", *run));
  }
  if (const std::string* needs = block.word("needs")) {
    if (needs->empty()) return wrong("needs says nothing; say what it needs: needs=\"a GPU\"");
    return BlockPlan{BlockKind::kNeeds, *needs};
  }
  return wrong(
      "a sh block that is neither run nor checked; add run, run=server, run=mock, config=TARGET or "
      "needs=\"...\"");
}

Status check_target(const std::string& target) {
  if (target == "weir" || among(target, kForms)) return {};
  const std::vector<std::string> engines = engine_names();
  if (among(target, engines)) return {};
  return wrong(fmt::format("config={}; the targets are weir, {}, {}", target,
                           fmt::join(kForms, ", "), fmt::join(engines, ", ")));
}

// A name whose ending says what the text is.
std::string file_name(const PageBlock& block) {
  return block.language == "yaml" || block.language == "json" ? "block." + block.language
                                                              : "block.sh";
}

// "block.yaml:7: what" as (7, "what"), also behind "weir: "; else line 0 and all of it.
std::pair<int, std::string> line_of(const std::string& message) {
  std::string_view rest = message;
  if (rest.starts_with("weir: ")) rest.remove_prefix(sizeof("weir: ") - 1);
  const size_t first = rest.find(':');
  if (!rest.starts_with("block.") || first == std::string_view::npos) return {0, message};
  const size_t second = rest.find(": ", first + 1);
  if (second == std::string_view::npos) return {0, message};
  int line = 0;
  for (size_t i = first + 1; i < second; ++i) {
    if (rest[i] < '0' || rest[i] > '9' || line > 1'000'000) return {0, message};
    line = line * 10 + (rest[i] - '0');
  }
  return {line, std::string(rest.substr(second + 2))};
}

class Parser {
 public:
  Parser(const Page& page, const PageBlock& block, std::vector<PageFinding>& findings)
      : page_(page), block_(block), findings_(findings) {}

  void say(int line, std::string what) {
    findings_.push_back({page_.name, block_.line + line, std::move(what)});
  }
  void say(const Error& error) {
    auto [line, what] = line_of(error.message);
    say(std::max(line, 1), std::move(what));
  }

  // Of lines as "block.yaml:7: what", each where it belongs; others with the one before.
  void say_lines(std::string_view text) {
    const size_t before = findings_.size();
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      auto [line, what] = line_of(std::string(text.substr(0, end)));
      if (line > 0 || findings_.size() == before) {
        say(std::max(line, 1), std::move(what));
      } else {
        findings_.back().what += "\n" + what;
      }
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  void config(const std::string& target) {
    LintOptions options;
    if (!among(target, kForms)) options.engine = target;
    const auto report = lint_text(block_.text, file_name(block_), options);
    if (!report.ok()) {
      // Manifests without an engine: a PodDisruptionBudget alone.
      if (report.error().code == ErrorCode::kUnsupported && is_manifest(target)) return;
      return say(report.error());
    }
    for (const CheckedCall& call : report->calls) {
      for (const Finding& f : call.findings) {
        if (f.severity != Severity::kError) continue;
        say(f.line,
            fmt::format("{} {}: {} [{}]; {}", call.engine, call.version, f.reason, f.rule, f.fix));
      }
    }
  }

  void yaml() {
    const auto documents = parse_documents(block_.text, file_name(block_));
    if (!documents.ok()) say(documents.error());
  }

  void json() {
    const auto json = text::Json::parse(block_.text);
    if (!json.ok()) say(1, json.error().message + "; mend the JSON, or call the block text");
  }

 private:
  bool is_manifest(const std::string& target) const {
    const auto documents = parse_documents(block_.text, file_name(block_));
    return target == "kubernetes" && documents.ok() &&
           std::all_of(documents->begin(), documents->end(), [](const config::Node& n) {
             return n.find("apiVersion") != nullptr && n.find("kind") != nullptr;
           });
  }

  const Page& page_;
  const PageBlock& block_;
  std::vector<PageFinding>& findings_;
};

}  // namespace

Result<BlockPlan> plan_block(const PageBlock& block) {
  for (const auto& [name, value] : block.words) {
    if (name != "run" && name != "needs" && name != "config")
      return wrong(fmt::format("\"{}\" in the info string; there are run, config and needs", name));
  }
  if (block.words.size() > 1) return wrong("more than one of run, config and needs; keep one");
  if (const std::string* target = block.word("config")) {
    WEIR_TRY(check_target(*target));
    return BlockPlan{BlockKind::kConfig, *target};
  }
  if (block.language == "sh") return plan_shell(block);
  if (!block.words.empty())
    return wrong(
        fmt::format("{} is for sh blocks; this is {}", block.words[0].first, block.language));
  if (block.language == "yaml") return BlockPlan{BlockKind::kYaml, ""};
  if (block.language == "json") return BlockPlan{BlockKind::kJson, ""};
  if (block.language == "python") return BlockPlan{BlockKind::kPython, ""};
  if (among(block.language, kPlain)) return BlockPlan{};
  return wrong(fmt::format("the language is \"{}\"; take one of sh, yaml, json, python, {}",
                           block.language, fmt::join(kPlain, ", ")));
}

bool runs(BlockKind kind) {
  return kind == BlockKind::kRun || kind == BlockKind::kRunServer || kind == BlockKind::kRunMock;
}

bool needs_model(const PageBlock& block, BlockKind kind) {
  return kind == BlockKind::kRunServer ||
         (runs(kind) && (block.text.find("$MODEL") != std::string::npos ||
                         block.text.find("${MODEL") != std::string::npos));
}

bool parse_block(const Page& page, const PageBlock& block, const BlockPlan& plan,
                 const BlockParsers& parsers, std::vector<PageFinding>& findings) {
  Parser parser(page, block, findings);
  std::string problem;
  switch (plan.kind) {
    case BlockKind::kConfig:
      if (plan.value != "weir") {
        parser.config(plan.value);
        return true;
      }
      if (!parsers.weir) return false;
      problem = parsers.weir(block.text, file_name(block));
      break;
    case BlockKind::kYaml:
      parser.yaml();
      return true;
    case BlockKind::kJson:
      parser.json();
      return true;
    case BlockKind::kPython:
      if (!parsers.python) return false;
      problem = parsers.python(block.text);
      break;
    default:
      return false;
  }
  parser.say_lines(problem);
  return true;
}

}  // namespace weir::ops
