#include "ops/eval/generate_items.h"

#include <map>
#include <optional>
#include <utility>

#include "ops/eval/answer_json.h"
#include "ops/eval/item_ids.h"
#include "ops/eval/tool_calls.h"

namespace weir::ops {
namespace {

using text::Json;

bool is_message(const Json& m) {
  const Json* role = m.find("role");
  const Json* content = m.find("content");
  return role != nullptr && role->is_string() && content != nullptr && content->is_string();
}

bool is_tool(const Json& tool) {
  const Json* function = tool.find("function");
  const Json* name = function == nullptr ? nullptr : function->find("name");
  return name != nullptr && name->is_string();
}

bool is_list_of(const Json& v, bool (*what)(const Json&)) {
  if (!v.is_array() || v.size() == 0) return false;
  for (const Json& one : v.items()) {
    if (!what(one)) return false;
  }
  return true;
}

class Reader {
 public:
  Reader(const SuiteTask& task, const NamedText& file)
      : task_(task), lines_(file.text, file.name) {}

  Result<std::vector<GenerateItem>> run(const NamedText& answers) {
    if (!task_.scorer.name.empty()) {
      WEIR_ASSIGN(scorer_, Scorer::make(task_.scorer));
    }
    if (!task_.answers.empty()) WEIR_TRY(read_answers(answers));
    while (true) {
      WEIR_ASSIGN(const std::optional<Json> object, lines_.next_json());
      if (!object) break;
      GenerateItem item;
      WEIR_TRY(read_id(*object, item));
      if (task_.format == "gsm8k") {
        WEIR_TRY(read_gsm8k(*object, item));
      } else if (task_.format == "bfcl") {
        WEIR_TRY(read_bfcl(*object, item));
      } else {
        WEIR_TRY(read_jsonl(*object, item));
      }
      items_.push_back(std::move(item));
    }
    if (items_.empty())
      return make_error(ErrorCode::kCorrupt, "{}: there are no items", lines_.name());
    return std::move(items_);
  }

 private:
  Status read_id(const Json& object, GenerateItem& item) {
    const Json* id = object.find("id");
    if (id != nullptr && (!id->is_string() || id->as_string().empty()))
      return lines_.wrong("id must be a text");
    item.id = id == nullptr ? std::to_string(items_.size()) : id->as_string();
    return ids_.add(lines_, "id", item.id);
  }

  Status read_jsonl(const Json& object, GenerateItem& item) {
    const Json* prompt = object.find("prompt");
    const Json* messages = object.find("messages");
    if ((prompt == nullptr) == (messages == nullptr))
      return lines_.wrong("the item must have either a prompt or messages");
    if (prompt != nullptr) {
      if (!prompt->is_string() || prompt->as_string().empty())
        return lines_.wrong("prompt must be a text");
      item.prompt = prompt->as_string();
    } else {
      if (!is_list_of(*messages, is_message))
        return lines_.wrong("messages must be a list of {\"role\": text, \"content\": text}");
      if (!task_.chat) return lines_.wrong("messages need the chat template, and chat is false");
      item.messages = *messages;
    }
    if (const Json* tools = object.find("tools"); tools != nullptr) {
      if (!is_list_of(*tools, is_tool))
        return lines_.wrong("tools must be a list of {\"type\": \"function\", \"function\": …}");
      item.tools = *tools;
    }
    if (!scorer_) return {};
    auto expected = scorer_->expectation(object);
    if (!expected.ok()) return lines_.wrong(expected.error().message);
    item.expected = std::move(*expected);
    return {};
  }

  Status read_gsm8k(const Json& object, GenerateItem& item) {
    const Json* question = object.find("question");
    const Json* answer = object.find("answer");
    if (question == nullptr || !question->is_string())
      return lines_.wrong("question must be a text");
    item.prompt = question->as_string();
    const size_t mark = answer != nullptr && answer->is_string() ? answer->as_string().rfind("####")
                                                                 : std::string::npos;
    if (mark == std::string::npos) return lines_.wrong("answer must be a text with \"####\"");
    const auto number = last_number(std::string_view(answer->as_string()).substr(mark));
    if (!number) return lines_.wrong("no number stands behind \"####\" in answer");
    item.expected = Json(*number);
    return {};
  }

  Status read_bfcl(const Json& object, GenerateItem& item) {
    const Json* question = object.find("question");
    const Json* functions = object.find("function");
    if (question == nullptr || !question->is_array() || question->size() == 0 ||
        !is_list_of(question->items().front(), is_message))
      return lines_.wrong("question must be a list of conversations");
    const auto named = [](const Json& f) { return f.find("name") != nullptr; };
    if (functions == nullptr || !is_list_of(*functions, named))
      return lines_.wrong("function must be a list of functions with names");
    item.messages = question->items().front();
    item.tools = tools_of_bfcl(*functions);
    item.expected = Json::array();
    if (task_.answers.empty()) return {};
    const auto found = answers_.find(item.id);
    if (found == answers_.end())
      return lines_.wrong(
          fmt::format("{} has no answer for the id {}", task_.answers, text::json_quote(item.id)));
    item.expected = found->second;
    return {};
  }

  Status read_answers(const NamedText& file) {
    LineReader lines(file.text, file.name);
    while (true) {
      WEIR_ASSIGN(const std::optional<Json> object, lines.next_json());
      if (!object) return {};
      const Json* id = object->find("id");
      const Json* calls = object->find("ground_truth");
      if (id == nullptr || !id->is_string()) return lines.wrong("id must be a text");
      const Status good = check_expected_calls(calls == nullptr ? Json() : *calls);
      if (!good.ok()) return lines.wrong(good.error().message);
      if (!answers_.emplace(id->as_string(), *calls).second)
        return lines.wrong(fmt::format("the id {} stands twice", id->dump()));
    }
  }

  const SuiteTask& task_;
  LineReader lines_;
  std::optional<Scorer> scorer_;
  std::map<std::string, Json> answers_;  // by id
  ItemIds ids_;
  std::vector<GenerateItem> items_;
};

}  // namespace

std::string GenerateItem::shown() const { return messages.is_null() ? prompt : messages.dump(); }

Result<std::vector<GenerateItem>> parse_generate_items(const SuiteTask& task, const NamedText& file,
                                                       const NamedText& answers) {
  return Reader(task, file).run(answers);
}

}  // namespace weir::ops
