#include "ops/eval/suite.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "ops/eval/fingerprint.h"
#include "ops/eval/yaml_reader.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using config::Node;
using text::Json;

constexpr size_t kMaxSuiteBytes = 1 << 20;

const std::vector<std::string> kKeys = {"name", "tasks"};
const std::vector<std::string> kTaskKeys = {"name", "kind", "file", "format", "metric", "limit"};

// One of the words.
Status one_of(const YamlReader& reader, const Node& map, std::string_view key,
              const std::vector<std::string>& words, std::string& out) {
  WEIR_TRY(reader.text(map, key, out));
  if (out.empty()) out = words.front();
  if (std::find(words.begin(), words.end(), out) != words.end()) return {};
  return reader.at(map.find(key)->line, fmt::format("{} must be one of {}, not \"{}\"", key,
                                                    fmt::join(words, ", "), out));
}

Result<SuiteTask> read_task(const YamlReader& reader, const Node& node) {
  WEIR_TRY(reader.is_map(node, "a task", "name and file"));
  WEIR_TRY(reader.known(node, kTaskKeys));
  SuiteTask task;
  task.line = node.line;
  std::string kind;
  WEIR_TRY(reader.text(node, "name", task.name));
  WEIR_TRY(reader.text(node, "file", task.file));
  WEIR_TRY(one_of(reader, node, "kind", {"multiple_choice"}, kind));
  WEIR_TRY(one_of(reader, node, "format", {"jsonl", "hellaswag"}, task.format));
  WEIR_TRY(one_of(reader, node, "metric", {"acc_norm", "acc"}, task.metric));
  WEIR_TRY(reader.integer(node, "limit", 1, 1e6, task.limit));
  if (task.name.empty()) return reader.at(node.line, "the task has no name");
  if (task.file.empty()) {
    return reader.at(node.line, fmt::format("the task {} has no file", task.name));
  }
  return task;
}

class ItemReader {
 public:
  ItemReader(std::string_view text, std::string_view name) : text_(text), name_(name) {}

  Result<std::vector<ChoiceItem>> hellaswag() {
    while (!text_.empty()) {
      ChoiceItem item;
      item.prompt = line();
      if (item.prompt.empty() && text_.empty()) break;
      const int number_line = line_;
      const std::string_view number = line();
      for (int i = 0; i < 4; ++i) {
        if (text_.empty()) return at(line_, "the item ends before its four endings");
        item.choices.emplace_back(line());
      }
      const auto [stop, error] =
          std::from_chars(number.data(), number.data() + number.size(), item.answer);
      if (error != std::errc() || stop != number.data() + number.size() || item.answer > 3)
        return at(number_line + 1, "the number of the right ending must be 0 to 3");
      WEIR_TRY(add(std::move(item)));
    }
    return std::move(items_);
  }

  Result<std::vector<ChoiceItem>> jsonl() {
    while (!text_.empty()) {
      const std::string_view source = line();
      if (source.find_first_not_of(" \t") == std::string_view::npos) continue;
      Result<Json> parsed = Json::parse(source, {.max_values = 10'000});
      if (!parsed.ok()) return at(line_, parsed.error().message);
      WEIR_TRY(read_object(*parsed));
    }
    return std::move(items_);
  }

 private:
  Error at(int number, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, number, what);
  }

  std::string_view line() {
    ++line_;
    const size_t end = std::min(text_.find('\n'), text_.size());
    std::string_view found = text_.substr(0, end);
    text_.remove_prefix(std::min(end + 1, text_.size()));
    if (found.ends_with('\r')) found.remove_suffix(1);
    return found;
  }

  Status read_object(const Json& json) {
    ChoiceItem item;
    const Json* prompt = json.find("prompt");
    const Json* choices = json.find("choices");
    const Json* answer = json.find("answer");
    const Json* id = json.find("id");
    if (prompt == nullptr || !prompt->is_string()) return at(line_, "prompt must be a text");
    if (choices == nullptr || !choices->is_array()) return at(line_, "choices must be a list");
    for (const Json& choice : choices->items()) {
      if (!choice.is_string()) return at(line_, "choices must be a list of texts");
      item.choices.push_back(choice.as_string());
    }
    const auto count = static_cast<int64_t>(item.choices.size());
    if (answer == nullptr || !answer->is_int() || answer->as_int() < 0 ||
        answer->as_int() >= count) {
      return at(line_, fmt::format("answer must be the index of one of the {} choices", count));
    }
    if (id != nullptr && !id->is_string()) return at(line_, "id must be a text");
    item.prompt = prompt->as_string();
    item.answer = static_cast<size_t>(answer->as_int());
    if (id != nullptr) item.id = id->as_string();
    return add(std::move(item));
  }

  Status add(ChoiceItem item) {
    if (item.choices.size() < 2 || item.choices.size() > SuiteLimits::kChoices) {
      return at(line_, fmt::format("{} choices; 2 to {} are read", item.choices.size(),
                                   SuiteLimits::kChoices));
    }
    if (std::find(item.choices.begin(), item.choices.end(), "") != item.choices.end())
      return at(line_, "a choice is empty");
    if (item.id.empty()) item.id = std::to_string(items_.size());
    if (items_.size() >= SuiteLimits::kItems)
      return make_error(ErrorCode::kLimit, "{}: more than {} items", name_, SuiteLimits::kItems);
    if (!ids_.insert(item.id).second)
      return at(line_, fmt::format("the id {} stands twice", text::json_quote(item.id)));
    items_.push_back(std::move(item));
    return {};
  }

  std::string_view text_;
  std::string name_;
  int line_ = 0;
  std::set<std::string> ids_;
  std::vector<ChoiceItem> items_;
};

}  // namespace

Result<Suite> parse_suite(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const Node root, config::parse_yaml(text, name));
  const YamlReader reader(name);
  WEIR_TRY(reader.is_map(root, "a suite", "tasks"));
  WEIR_TRY(reader.known(root, kKeys));
  Suite suite;
  suite.hash = hex(text_hash(text));
  WEIR_TRY(reader.text(root, "name", suite.name));
  if (suite.name.empty()) return reader.at(root.line, "the suite has no name");
  WEIR_ASSIGN(const auto tasks, reader.list(root, "tasks", "task", SuiteLimits::kTasks));
  for (const Node& node : tasks) {
    WEIR_ASSIGN(SuiteTask task, read_task(reader, node));
    for (const SuiteTask& other : suite.tasks) {
      if (other.name == task.name) {
        return reader.at(
            node.line, fmt::format("the task {} stands in line {} already", task.name, other.line));
      }
    }
    suite.tasks.push_back(std::move(task));
  }
  return suite;
}

Result<Suite> read_suite(const std::string& path) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxSuiteBytes));
  return parse_suite(text, path);
}

Result<std::vector<ChoiceItem>> parse_choice_items(std::string_view text, std::string_view format,
                                                   std::string_view name) {
  ItemReader reader(text, name);
  WEIR_ASSIGN(std::vector<ChoiceItem> items,
              format == "hellaswag" ? reader.hellaswag() : reader.jsonl());
  if (items.empty()) return make_error(ErrorCode::kCorrupt, "{}: there are no items", name);
  return items;
}

}  // namespace weir::ops
