// The tasks of a suite with their items, and a run of one on a model. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/runner.h"
#include "ops/eval/cache.h"
#include "ops/eval/code_sandbox.h"
#include "ops/eval/generate_items.h"
#include "ops/eval/result.h"
#include "ops/eval/suite.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace weir::ops {

struct LoadedTask {
  SuiteTask task;
  std::vector<ChoiceItem> choices;  // of multiple_choice
  std::vector<GenerateItem> items;  // of generate, determinism and code
  std::string haystack;             // of retrieval; its items take a tokenizer to make
};

// All items of a suite. Files lie below `data`, or else beside the suite. limit: the first items of
// each task, 0: all. Errors name the file, or the suite's line that names it.
Result<std::vector<LoadedTask>> load_tasks(const Suite& suite, const std::string& suite_path,
                                           const std::string& data, int64_t limit);

// The paths of the files that load_tasks reads. Does not look whether they are there.
std::vector<std::string> suite_files(const Suite& suite, const std::string& suite_path,
                                     const std::string& data);

// What a run works with; all borrowed.
struct TaskRunner {
  engine::Runner& runner;
  const text::Tokenizer& tokenizer;
  const text::ChatTemplate& chat;
  const Clock& clock;
  ResultCache* cache = nullptr;  // nullptr: none
  std::string fingerprint =
      {};               // of all that answers depend on beside their prompts; for the cache
  size_t at_once = 32;  // prompts that generate together
  std::function<void(int64_t done, int64_t all)> progress = {};
  std::function<void(const std::string&)> notice = {};  // what the user should know
  // Runs a program of a task of kind code (code_sandbox.h). Empty: such tasks are an error.
  RunCode run_code = {};
};

// What a run took, over all its tasks.
struct RunCost {
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t computed_items = 0;
  int64_t cached_items = 0;
};

// Runs a task over its items and adds to `cost`. Items that are in the cache are not run (those of
// determinism always are); what is run is put there. Errors: those of score_choices, of
// needle_items and generate_all, of the chat template with the item's id; of the cache.
Result<EvalTask> run_task(const TaskRunner& with, const LoadedTask& task, RunCost& cost);

}  // namespace weir::ops
