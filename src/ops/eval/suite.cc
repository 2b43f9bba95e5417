#include "ops/eval/suite.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "ops/eval/fingerprint.h"
#include "ops/eval/item_ids.h"
#include "ops/eval/suite_task.h"
#include "ops/eval/yaml_reader.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using config::Node;
using text::Json;

constexpr size_t kMaxSuiteBytes = 1 << 20;

const std::vector<std::string> kKeys = {"name", "tasks"};

class ItemReader {
 public:
  ItemReader(std::string_view text, std::string_view name) : lines_(text, name) {}

  Result<std::vector<ChoiceItem>> hellaswag() {
    while (!lines_.at_end()) {
      ChoiceItem item;
      item.prompt = lines_.next();
      if (item.prompt.empty() && lines_.at_end()) break;
      const std::string_view number = lines_.next();
      const int number_line = lines_.number();
      for (int i = 0; i < 4; ++i) {
        if (lines_.at_end()) return lines_.wrong("the item ends before its four endings");
        item.choices.emplace_back(lines_.next());
      }
      const auto [stop, error] =
          std::from_chars(number.data(), number.data() + number.size(), item.answer);
      if (error != std::errc() || stop != number.data() + number.size() || item.answer > 3)
        return lines_.wrong(number_line, "the number of the right ending must be 0 to 3");
      WEIR_TRY(add(std::move(item)));
    }
    return std::move(items_);
  }

  Result<std::vector<ChoiceItem>> jsonl() {
    while (true) {
      WEIR_ASSIGN(const std::optional<Json> object, lines_.next_json());
      if (!object) return std::move(items_);
      WEIR_TRY(read_object(*object));
    }
  }

 private:
  Status read_object(const Json& json) {
    ChoiceItem item;
    const Json* prompt = json.find("prompt");
    const Json* choices = json.find("choices");
    const Json* answer = json.find("answer");
    const Json* id = json.find("id");
    if (prompt == nullptr || !prompt->is_string()) return lines_.wrong("prompt must be a text");
    if (choices == nullptr || !choices->is_array()) return lines_.wrong("choices must be a list");
    for (const Json& choice : choices->items()) {
      if (!choice.is_string()) return lines_.wrong("choices must be a list of texts");
      item.choices.push_back(choice.as_string());
    }
    const auto count = static_cast<int64_t>(item.choices.size());
    if (answer == nullptr || !answer->is_int() || answer->as_int() < 0 ||
        answer->as_int() >= count) {
      return lines_.wrong(fmt::format("answer must be the index of one of the {} choices", count));
    }
    if (id != nullptr && !id->is_string()) return lines_.wrong("id must be a text");
    item.prompt = prompt->as_string();
    item.answer = static_cast<size_t>(answer->as_int());
    if (id != nullptr) item.id = id->as_string();
    return add(std::move(item));
  }

  Status add(ChoiceItem item) {
    if (item.choices.size() < 2 || item.choices.size() > SuiteLimits::kChoices) {
      return lines_.wrong(
          fmt::format("{} choices; 2 to {} are read", item.choices.size(), SuiteLimits::kChoices));
    }
    if (std::find(item.choices.begin(), item.choices.end(), "") != item.choices.end())
      return lines_.wrong("a choice is empty");
    if (item.id.empty()) item.id = std::to_string(items_.size());
    WEIR_TRY(ids_.add(lines_, "id", item.id));
    items_.push_back(std::move(item));
    return {};
  }

  LineReader lines_;
  ItemIds ids_;
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
    WEIR_ASSIGN(SuiteTask task, read_suite_task(reader, node));
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
