// A suite run on a model of this machine or at a server, as weir eval task and weir eval compare do
// it, with a progress bar and notices on stderr.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "ops/eval/cache.h"
#include "ops/eval/code_sandbox.h"
#include "ops/eval/result.h"
#include "ops/eval/suite.h"
#include "ops/eval/task_run.h"

namespace weir::cli {

struct SuiteOptions {
  std::string suite;
  std::string data;
  std::string cache;
  int64_t limit = 0;        // 0: all items
  bool allow_code = false;  // tasks of kind code may run what the model writes
  std::string python = "python3";
  int32_t context_tokens = 0;  // 0: 8192, or what the server says of its model
  // Of a model.
  std::string load_type;
  int32_t at_once = 32;
  int threads = 0;
  // Of a server.
  int32_t parallel = 8;
  double timeout_s = 600;
  int retries = 5;
  std::string extra_body;
  bool tools_in_prompt = false;
};
// All of them but --suite.
void add_suite_options(CLI::App* command, SuiteOptions& options);

// What is evaluated: a model, or one at a URL.
struct Subject {
  std::string model;         // as resolve_model takes it; "" at a URL
  std::string url;           // "" of a model
  std::string served_model;  // at the URL; "": the only one it lists
  std::string api_key_env;   // variable of the environment that holds its key; "": no key
};

struct LoadedSuite {
  ops::Suite suite;
  std::vector<ops::LoadedTask> tasks;
  std::optional<ops::ResultCache> cache;
  std::optional<ops::CodeSandbox> sandbox;  // where a task is of kind code
};
// check_outputs_of_models for a command that runs a suite, before it does: of models, and of the
// suite with its files and the cache. suite: "" for none. Also the errors of ops::read_suite.
Status check_suite_outputs(const std::vector<std::pair<std::string, std::string>>& outputs,
                           const std::vector<std::string>& models, const SuiteOptions& options,
                           std::vector<std::string> inputs = {});
// Errors: those of ops::read_suite, ops::load_tasks, ops::ResultCache::open and
// ops::CodeSandbox::make; kUsage for a task of kind code without allow_code, or an --extra-body
// that is no object.
Result<LoadedSuite> load_suite(const SuiteOptions& options);

struct SuiteRun {
  ops::EvalRun run;
  ops::RunCost cost;
};
// label: of the progress bar. Errors: those of load_model and ops::run_task; of
// ops::remote_server, ops::find_remote_model and ops::run_remote_task; kUsage for a variable that
// is not set or an --extra-body that is no object.
Result<SuiteRun> run_suite(LoadedSuite& suite, const SuiteOptions& options, const Subject& subject,
                           const std::string& label);

}  // namespace weir::cli
