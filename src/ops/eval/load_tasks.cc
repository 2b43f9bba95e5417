#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

#include "ops/eval/code_items.h"
#include "ops/eval/task_run.h"
#include "os/file.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;

class Loader {
 public:
  Loader(std::string suite, std::string data) : suite_(std::move(suite)), data_(std::move(data)) {}

  Result<LoadedTask> load(const SuiteTask& task) const {
    LoadedTask out;
    out.task = task;
    WEIR_ASSIGN(NamedText file, read(task, task.file));
    if (task.kind == "multiple_choice") {
      WEIR_ASSIGN(out.choices, parse_choice_items(file.text, task.format, file.name));
      if (task.few_shot > 0) WEIR_TRY(put_shots(task, out.choices));
    } else if (task.kind == "retrieval") {
      out.haystack = std::move(file.text);
    } else if (task.kind == "code") {
      WEIR_ASSIGN(out.items, parse_code_items(task, file));
    } else {
      NamedText answers;
      if (!task.answers.empty()) {
        WEIR_ASSIGN(answers, read(task, task.answers));
      }
      WEIR_ASSIGN(out.items, parse_generate_items(task, file, answers));
    }
    return out;
  }

  // That are there or are not.
  std::vector<std::string> files_of(const SuiteTask& task) const {
    std::vector<std::string> files;
    for (const std::string* file : {&task.file, &task.answers, &task.examples}) {
      if (!file->empty()) files.push_back(path_of(*file));
    }
    return files;
  }

 private:
  // As lm-evaluation-harness puts them: prompt, a space, the right choice, a blank line.
  Status put_shots(const SuiteTask& task, std::vector<ChoiceItem>& items) const {
    const auto count = static_cast<size_t>(task.few_shot);
    std::vector<ChoiceItem> shots;
    if (!task.examples.empty()) {
      WEIR_ASSIGN(const NamedText file, read(task, task.examples));
      WEIR_ASSIGN(shots, parse_choice_items(file.text, task.format, file.name));
      shots.erase(shots.begin() + static_cast<ptrdiff_t>(std::min(count, shots.size())),
                  shots.end());
    } else if (items.size() > count) {
      const auto first = items.end() - static_cast<ptrdiff_t>(count);
      shots.assign(std::make_move_iterator(first), std::make_move_iterator(items.end()));
      items.erase(first, items.end());
    }
    if (shots.size() < count) {
      return make_error(
          ErrorCode::kCorrupt, "{}:{}: few_shot of {} is {}, more items than {} has to show{}",
          suite_, task.line, task.name, count, task.examples.empty() ? task.file : task.examples,
          task.examples.empty() ? " beside those to ask" : "");
    }
    std::string before;
    for (const ChoiceItem& shot : shots)
      before += fmt::format("{} {}\n\n", shot.prompt, shot.choices[shot.answer]);
    for (ChoiceItem& item : items) item.shots = before;
    return {};
  }

  Result<NamedText> read(const SuiteTask& task, const std::string& file) const {
    const std::string path = path_of(file);
    Result<std::string> text = os::read_file(path, SuiteLimits::kFileBytes);
    if (!text.ok()) {
      return text.error().with_context(
          fmt::format("{}:{}: the items of {} (relative files lie below --data, or beside the "
                      "suite)",
                      suite_, task.line, task.name));
    }
    return NamedText{path, std::move(*text)};
  }

  std::string path_of(const std::string& file) const {
    if (fs::path(file).is_absolute()) return file;
    const fs::path beside = fs::path(suite_).parent_path() / file;
    if (data_.empty()) return beside.string();
    const fs::path below = fs::path(data_) / file;
    std::error_code ignored;
    return fs::exists(beside, ignored) && !fs::exists(below, ignored) ? beside.string()
                                                                      : below.string();
  }

  std::string suite_;
  std::string data_;
};

template <typename T>
void keep_first(std::vector<T>& items, int64_t limit) {
  if (limit > 0 && items.size() > static_cast<size_t>(limit))
    items.erase(items.begin() + static_cast<ptrdiff_t>(limit), items.end());
}

}  // namespace

std::vector<std::string> suite_files(const Suite& suite, const std::string& suite_path,
                                     const std::string& data) {
  const Loader loader(suite_path, data);
  std::vector<std::string> files;
  for (const SuiteTask& task : suite.tasks) {
    for (std::string& file : loader.files_of(task)) files.push_back(std::move(file));
  }
  return files;
}

Result<std::vector<LoadedTask>> load_tasks(const Suite& suite, const std::string& suite_path,
                                           const std::string& data, int64_t limit) {
  const Loader loader(suite_path, data);
  std::vector<LoadedTask> tasks;
  for (const SuiteTask& task : suite.tasks) {
    WEIR_ASSIGN(LoadedTask loaded, loader.load(task));
    // One limit holds for every kind: retrieval cuts its items when it makes them.
    if (limit > 0 && (task.limit == 0 || limit < task.limit)) loaded.task.limit = limit;
    keep_first(loaded.choices, loaded.task.limit);
    keep_first(loaded.items, loaded.task.limit);
    tasks.push_back(std::move(loaded));
  }
  return tasks;
}

}  // namespace weir::ops
