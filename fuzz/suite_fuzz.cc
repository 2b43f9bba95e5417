// A suite of `weir eval task` from outside, and items in both formats.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "ops/eval/code_items.h"
#include "ops/eval/suite.h"

namespace {

using namespace weir::ops;

void read_items(std::string_view text, std::string_view format) {
  const auto items = parse_choice_items(text, format, "i");
  if (!items.ok()) {
    if (items.error().message.empty()) std::abort();
    return;
  }
  std::set<std::string_view> ids;
  for (const ChoiceItem& item : *items) {
    if (item.choices.size() < 2 || item.choices.size() > SuiteLimits::kChoices) std::abort();
    if (item.answer >= item.choices.size() || !ids.insert(item.id).second) std::abort();
  }
}

void read_code_items(std::string_view text) {
  SuiteTask task;
  for (const char* format : {"humaneval", "mbpp"}) {
    task.format = format;
    const auto items = parse_code_items(task, {"i", std::string(text)});
    if (!items.ok() && items.error().message.empty()) std::abort();
  }
  if (code_of(text, "f").size() > text.size() + 2) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto suite = parse_suite(text, "s");
  if (suite.ok()) {
    if (suite->name.empty() || suite->tasks.empty()) std::abort();
    for (const SuiteTask& task : suite->tasks) {
      if (task.name.empty() || task.file.empty() || task.limit < 0) std::abort();
      if (task.kind == "multiple_choice" && task.format != "hellaswag" && task.format != "jsonl")
        std::abort();
    }
  } else if (suite.error().message.empty()) {
    std::abort();
  }
  read_items(text, "hellaswag");
  read_items(text, "jsonl");
  read_code_items(text);
  return 0;
}
