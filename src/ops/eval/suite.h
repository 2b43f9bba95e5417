// A suite of tasks as a YAML file, and the items that it names. Both are taken for hostile: sizes
// and counts are bounded, errors name file and line.
//
//   name: quick
//   tasks:
//     - name: hellaswag
//       kind: multiple_choice
//       file: eval/hellaswag_val.first500.txt   # below the data folder
//       format: hellaswag                       # or jsonl
//       metric: acc_norm                        # or acc
//       limit: 200
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct SuiteLimits {
  static constexpr size_t kFileBytes = size_t{64} << 20;  // of items
  static constexpr size_t kTasks = 256;
  static constexpr size_t kItems = 1'000'000;
  static constexpr size_t kChoices = 64;
};

struct SuiteTask {
  std::string name;
  std::string file;    // as the suite has it
  std::string format;  // "hellaswag" or "jsonl"
  std::string metric;  // "acc" or "acc_norm"
  int64_t limit = 0;   // 0: all items
  int line = 0;
};

struct Suite {
  std::string name;
  std::string hash;  // of the file's bytes, hex
  std::vector<SuiteTask> tasks;
};

// Errors: kCorrupt as "NAME:LINE: what is wrong"; those of os::read_file.
Result<Suite> parse_suite(std::string_view text, std::string_view name);
Result<Suite> read_suite(const std::string& path);

// A question with answers to choose from.
struct ChoiceItem {
  std::string id;
  std::string prompt;
  std::vector<std::string> choices;  // as they follow the prompt and a space
  size_t answer = 0;                 // the right one
};

// "hellaswag": six lines an item: context, number of the right ending, four endings. "jsonl": an
// object a line with prompt, choices (a list of texts), answer (its index), and id, which may be
// absent. Errors: kCorrupt naming line and field, ids that stand twice too; kLimit.
Result<std::vector<ChoiceItem>> parse_choice_items(std::string_view text, std::string_view format,
                                                   std::string_view name);

}  // namespace weir::ops
