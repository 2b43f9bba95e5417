#include "ops/eval/code_items.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "ops/eval/answer_json.h"
#include "ops/eval/fingerprint.h"
#include "ops/eval/item_ids.h"
#include "text/utf8.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kFence = "```";

const std::string* text_member(const Json& object, std::string_view name) {
  const Json* v = object.find(name);
  return v != nullptr && v->is_string() ? &v->as_string() : nullptr;
}

bool is_name(std::string_view s) {
  const auto word = [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return !s.empty() && std::all_of(s.begin(), s.end(), word) && !(s[0] >= '0' && s[0] <= '9');
}

// Where a line of `code` begins to define the function; npos where none does.
size_t definition(std::string_view code, std::string_view entry_point) {
  for (const std::string_view word : {"def ", "async def "}) {
    const std::string wanted = std::string(word) + std::string(entry_point) + "(";
    for (size_t at = code.find(wanted); at != std::string_view::npos;
         at = code.find(wanted, at + 1)) {
      if (at == 0 || code[at - 1] == '\n') return at;
    }
  }
  return std::string_view::npos;
}

class Reader {
 public:
  Reader(const SuiteTask& task, const NamedText& file)
      : task_(task), lines_(file.text, file.name) {}

  Result<std::vector<GenerateItem>> run() {
    while (true) {
      WEIR_ASSIGN(const std::optional<Json> object, lines_.next_json());
      if (!object) break;
      GenerateItem item;
      item.expected = Json::object();
      WEIR_TRY(read_id(*object, item));
      WEIR_TRY(task_.format == "mbpp" ? read_mbpp(*object, item) : read_humaneval(*object, item));
      items_.push_back(std::move(item));
    }
    if (items_.empty())
      return make_error(ErrorCode::kCorrupt, "{}: there are no items", lines_.name());
    return std::move(items_);
  }

 private:
  Status read_id(const Json& object, GenerateItem& item) {
    const Json* id = object.find("task_id");
    if (id == nullptr || !((id->is_string() && !id->as_string().empty()) || id->is_int()))
      return lines_.wrong("task_id must be a text or a whole number");
    item.id = id->is_int() ? std::to_string(id->as_int()) : id->as_string();
    return ids_.add(lines_, "task_id", item.id);
  }

  Status read_humaneval(const Json& object, GenerateItem& item) {
    const std::string* prompt = text_member(object, "prompt");
    const std::string* test = text_member(object, "test");
    const std::string* entry = text_member(object, "entry_point");
    if (prompt == nullptr || prompt->empty()) return lines_.wrong("prompt must be a text");
    if (test == nullptr) return lines_.wrong("test must be a text, which defines check()");
    if (entry == nullptr || !is_name(*entry))
      return lines_.wrong("entry_point must be the name of a function");
    item.prompt = *prompt;
    // Imports and helpers, for answers that repeat only the function.
    item.expected.set("before",
                      prompt->substr(0, std::min(definition(*prompt, *entry), prompt->size())));
    item.expected.set("prompt", *prompt);
    item.expected.set("entry_point", *entry);
    item.expected.set("tests", fmt::format("{}\ncheck({})\n", *test, *entry));
    return {};
  }

  Status read_mbpp(const Json& object, GenerateItem& item) {
    const std::string* task = text_member(object, "text");
    if (task == nullptr) task = text_member(object, "prompt");
    if (task == nullptr || task->empty()) return lines_.wrong("text must be a text");
    WEIR_ASSIGN(const std::string tests, joined(object, "test_list", true));
    WEIR_ASSIGN(std::string before, joined(object, "test_imports", false));
    if (const std::string* setup = text_member(object, "test_setup_code")) before += *setup + "\n";
    item.prompt = fmt::format("{}\nYour code must pass these tests:\n{}", *task, tests);
    item.expected.set("before", std::move(before));
    item.expected.set("prompt", "");
    item.expected.set("entry_point", "");
    item.expected.set("tests", tests);
    return {};
  }

  // A list of texts, a line each.
  Result<std::string> joined(const Json& object, std::string_view name, bool required) {
    const Json* list = object.find(name);
    std::string out;
    if (list == nullptr && !required) return out;
    if (list == nullptr || !list->is_array() || (required && list->size() == 0))
      return lines_.wrong(fmt::format("{} must be a list of texts", name));
    for (const Json& line : list->items()) {
      if (!line.is_string()) return lines_.wrong(fmt::format("{} must be a list of texts", name));
      out += line.as_string() + "\n";
    }
    return out;
  }

  const SuiteTask& task_;
  LineReader lines_;
  ItemIds ids_;
  std::vector<GenerateItem> items_;
};

// The last line that says something: of a Python program that failed, its exception.
std::string_view last_line(std::string_view output) {
  output = trimmed(output);
  const size_t newline = output.rfind('\n');
  return newline == std::string_view::npos ? output : output.substr(newline + 1);
}

}  // namespace

Result<std::vector<GenerateItem>> parse_code_items(const SuiteTask& task, const NamedText& file) {
  return Reader(task, file).run();
}

std::string code_of(std::string_view answer, std::string_view entry_point) {
  std::optional<std::string_view> first;
  for (size_t at = answer.find(kFence); at != std::string_view::npos;) {
    const size_t begin = answer.find('\n', at);  // behind the language
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(answer.find(kFence, begin), answer.size());
    const std::string_view block = answer.substr(begin + 1, end - begin - 1);
    if (!entry_point.empty() && definition(block, entry_point) != std::string_view::npos)
      return std::string(block);
    if (!first) first = block;
    at = end == answer.size() ? std::string_view::npos : answer.find(kFence, end + kFence.size());
  }
  return std::string(first.value_or(answer));
}

int pass_code_of(std::string_view answer) {
  // Neither 0, nor what Python, shells and signals use.
  constexpr int kFirst = 8, kLast = 119;
  const std::byte byte = text_hash(std::string(answer)).bytes().front();
  return kFirst + std::to_integer<int>(byte) % (kLast - kFirst + 1);
}

std::string code_program(const Json& expected, std::string_view answer, int pass_code) {
  const std::string& entry = expected.find("entry_point")->as_string();
  const std::string code = code_of(answer, entry);
  const bool whole = entry.empty() || definition(code, entry) != std::string_view::npos;
  return fmt::format("{}{}\n\n{}\nimport os as weir_os\nweir_os._exit({})\n",
                     expected.find(whole ? "before" : "prompt")->as_string(), code,
                     expected.find("tests")->as_string(), pass_code);
}

EvalScores score_code(const os::SandboxResult& run, int pass_code) {
  const bool passed = run.end == os::SandboxEnd::kExited && run.code == pass_code;
  const bool late = run.end == os::SandboxEnd::kCpuTime || run.end == os::SandboxEnd::kWallTime;
  return {{"acc", passed ? 1 : 0}, {"timed_out", late ? 1 : 0}};
}

std::string shown_outcome(const Json& expected, const os::SandboxResult& run, int pass_code) {
  const std::string last = text::replace_invalid_utf8(text::cut_utf8(last_line(run.output), 500));
  std::string how;
  switch (run.end) {
    case os::SandboxEnd::kExited:
      how = run.code == pass_code ? "passed"
            : run.code == 0       ? "ended before its tests did"
                                  : "failed";
      break;
    case os::SandboxEnd::kSignal:
      how = fmt::format("killed by signal {}", run.code);
      break;
    case os::SandboxEnd::kCpuTime:
      how = "used up its CPU time";
      break;
    case os::SandboxEnd::kWallTime:
      how = "used up its time";
      break;
  }
  if (run.code != pass_code && !last.empty()) how += ": " + last;
  return fmt::format("{}\n{}", how, expected.find("tests")->as_string());
}

}  // namespace weir::ops
