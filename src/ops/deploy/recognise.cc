#include "ops/deploy/recognise.h"

#include <algorithm>
#include <array>

#include "ops/engines/engine_facts.h"

namespace weir::ops {
namespace {

constexpr int kMaxShells = 4;
// Images with an engine's name that are not the engine.
constexpr std::array<std::string_view, 7> kBesideEngines{
    "router", "scheduler", "gateway", "exporter", "sidecar", "benchmark", "-epp"};

// "/usr/bin/python3.12" is "python".
std::string program_name(std::string_view word) {
  const size_t slash = word.rfind('/');
  if (slash != std::string_view::npos) word.remove_prefix(slash + 1);
  if (word.starts_with("python")) return "python";
  return std::string(word);
}

bool is_shell(std::string_view word) {
  const std::string name = program_name(word);
  return name == "sh" || name == "bash" || name == "dash" || name == "zsh";
}

// How many words from `at` on spell the program; 0: they do not. Options of python are passed.
size_t spelled(const std::vector<Word>& words, size_t at, const std::vector<std::string>& program) {
  size_t w = at;
  for (size_t i = 0; i < program.size(); ++i) {
    while (i > 0 && program[0] == "python" && w < words.size() && words[w].text != "-m" &&
           program[i] == "-m" && words[w].text.starts_with('-'))
      ++w;
    if (w >= words.size()) return 0;
    const std::string text = i == 0 ? program_name(words[w].text) : words[w].text;
    if (text != program[i]) return 0;
    ++w;
  }
  return w - at;
}

std::optional<EngineCall> call_at(const std::vector<Word>& words, size_t at) {
  for (const EngineProgram& engine : engine_facts().engines) {
    for (const auto& program : engine.programs) {
      const size_t n = spelled(words, at, program);
      if (n == 0) continue;
      EngineCall call;
      call.engine = engine.engine;
      call.line = words[at].line;
      call.arguments.assign(words.begin() + static_cast<long>(at + n), words.end());
      return call;
    }
  }
  return std::nullopt;
}

Result<std::optional<EngineCall>> find_in(const std::vector<Word>& words, std::string_view file,
                                          int depth) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (auto call = call_at(words, i)) return call;
    if (!is_shell(words[i].text) || depth >= kMaxShells) continue;
    size_t text = i + 1;
    while (text < words.size() && words[text].text.starts_with('-') &&
           !words[text].text.ends_with('c'))
      ++text;
    if (text + 1 >= words.size() || !words[text].text.starts_with('-')) continue;
    const Word& script = words[text + 1];
    WEIR_ASSIGN(const auto commands, split_commands(script.text, file, script.line));
    for (const ShellCommand& c : commands) {
      WEIR_ASSIGN(auto call, find_in(c.words, file, depth + 1));
      if (call) return call;
    }
  }
  return std::optional<EngineCall>();
}

}  // namespace

Result<std::optional<EngineCall>> find_call(const std::vector<Word>& words, std::string_view file) {
  return find_in(words, file, 0);
}

std::string engine_of_image(std::string_view image) {
  for (const std::string_view other : kBesideEngines) {
    if (image.find(other) != std::string_view::npos) return "";
  }
  for (const EngineProgram& engine : engine_facts().engines) {
    for (const std::string& part : engine.images) {
      if (image.find(part) != std::string_view::npos) return engine.engine;
    }
  }
  return "";
}

std::string tag_of_image(std::string_view image) {
  image = image.substr(0, image.find('@'));
  const size_t slash = image.rfind('/');
  if (slash != std::string_view::npos) image.remove_prefix(slash + 1);
  const size_t colon = image.find(':');
  return colon == std::string_view::npos ? "" : std::string(image.substr(colon + 1));
}

std::string version_of_tag(std::string_view tag) {
  if (tag.starts_with('v')) tag.remove_prefix(1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t end = 0;
  size_t points = 0;
  while (end < tag.size()) {
    if (digit(tag[end])) {
      ++end;
    } else if (tag[end] == '.' && end + 1 < tag.size()) {
      ++points;
      ++end;
      if (tag.substr(end).starts_with("post")) end += 4;
    } else {
      break;
    }
  }
  return points >= 1 && digit(tag[0]) ? std::string(tag.substr(0, end)) : "";
}

}  // namespace weir::ops
