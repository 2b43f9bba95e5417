// What an evaluation found, item by item: the file that `weir eval` writes and `weir eval compare`
// reads. JSON, format "weir-eval/1". Reading takes the text for hostile: counts and lengths are
// bounded (EvalLimits), numbers finite, names unique. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace weir::ops {

struct EvalLimits {
  static constexpr size_t kFileBytes = size_t{1} << 30;
  static constexpr size_t kValues = 20'000'000;  // JSON values of a file
  static constexpr size_t kTasks = 256;
  static constexpr size_t kItems = 1'000'000;  // of a task
  static constexpr size_t kScores = 64;        // of an item, of a task's summary
  static constexpr size_t kBins = 512;         // of a histogram
  static constexpr size_t kNameBytes = 512;    // of names, ids, kinds, hashes
  static constexpr size_t kTextBytes = 4096;   // of prompt, expected, answer: cut when written
  static constexpr double kScore = 1e100;      // either way; squares of them can be added up
};

// EvalRun::params of a run at a URL: the object of --extra-body, and whether tools were told in
// prompts.
inline constexpr std::string_view kExtraBodyParam = "extra_body";
inline constexpr std::string_view kToolsInPromptParam = "tools_in_prompt";

using EvalScores = std::vector<std::pair<std::string, double>>;  // in order; names are unique

struct EvalItem {
  std::string id;  // unique in its task
  EvalScores scores;
  std::string prompt, expected, answer;  // may be empty
  // 32 hexadecimal digits of all that is asked and held against the answer: the whole prompt, what
  // stands before it, choices, tools, the right answer. Empty in older files and where prompts are
  // no items of a suite.
  std::string hash = {};

  // nullptr when absent.
  const double* score(std::string_view name) const;
};

// Counts between edges: counts[i] lies in [edges[i], edges[i + 1]).
struct EvalHistogram {
  std::string name;           // with the unit: "KL divergence (nats)"
  std::vector<double> edges;  // ascending, one more than counts; or both empty
  std::vector<int64_t> counts;
};

struct EvalTask {
  std::string name;  // unique in its run
  std::string kind;  // one of eval_task_kinds()
  std::string metric;
  bool higher_is_better = true;
  double value = 0;
  double error = 0;  // standard error of value
  std::vector<EvalItem> items;
  EvalScores summary;       // other figures of the whole task: "median", "p99"; may be empty
  EvalHistogram histogram;  // may be empty
};

struct EvalModel {
  std::string name;
  std::string where = "local";  // or "url"
  std::string identity;         // hex, or empty
  std::string vocabulary;       // hex hash of the token strings, or empty
};

struct EvalSpeed {
  double seconds = 0;
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  double tokens_per_s = 0;
};

struct EvalRun {
  EvalModel model;
  std::string suite_name;
  std::string suite_hash;                    // hex
  uint64_t seed = 0;                         // below 2^63
  text::Json params = text::Json::object();  // what answers depend on beside suite and model
  std::vector<EvalTask> tasks;
  EvalSpeed speed;
  uint64_t peak_rss_bytes = 0;
  int64_t cached_items = 0;  // of an earlier run; the speed is that of the others

  // nullptr when absent.
  const EvalTask* task(std::string_view name) const;
};

// A text of an item as the file has it: in UTF-8, cut to EvalLimits::kTextBytes.
std::string written_text(std::string_view text);

// What the run says under kOverlapParam; nothing where it says nothing. Error: kCorrupt for what is
// no share.
Result<std::optional<double>> recorded_overlap(const EvalRun& run);

// "multiple_choice", "generate", …: what EvalTask::kind may be.
const std::vector<std::string>& eval_task_kinds();

// One line. Ill-formed UTF-8 becomes U+FFFD; texts are cut to EvalLimits::kTextBytes.
std::string to_json(const EvalRun& run);

// Members that are not known are left out, so that later writers can add some. Error kCorrupt names
// the member by its path ("tasks[0].items[3].scores.acc"), the bound and what to do; kUnsupported
// for another format; kLimit for a file over the limits.
Result<EvalRun> parse_eval_run(std::string_view json);

// The file whole or not at all. Errors: those of os::write_file_atomic; of os::read_file and
// parse_eval_run, with the path in front.
Status write_eval_run(const std::string& path, const EvalRun& run);
Result<EvalRun> read_eval_run(const std::string& path);

}  // namespace weir::ops
