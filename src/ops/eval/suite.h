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
//     - name: gsm8k
//       kind: generate              # the model's own words, greedily chosen
//       file: eval/gsm8k.test.jsonl
//       format: gsm8k               # jsonl (generate_items.h), gsm8k, bfcl
//       scorer: numeric             # scorer.h, and its options
//       instruction: Think step by step.   # before each prompt
//       chat: true                  # false: the prompt goes on as it is, without a template
//       max_tokens: 256
//       stop: ["Question:"]
//     - name: calls
//       kind: generate
//       file: tools/BFCL_v4_simple_python.json
//       answers: tools/possible_answer/BFCL_v4_simple_python.json   # none: no call is right
//       format: bfcl
//       scorer: tool_call
//     - name: needle
//       kind: retrieval             # needle.h
//       file: eval/tinyshakespeare.txt
//       lengths: [1024, 4096]       # tokens
//       depths: [0, 0.5, 1]         # shares of the text that stand before the needle
//     - name: same-bits
//       kind: determinism           # each prompt alone, then all at once: the same bytes
//       file: prompts.jsonl
//     - name: humaneval
//       kind: code                  # Python that must pass tests, run in a sandbox
//       file: eval/HumanEval.jsonl
//       format: humaneval           # or mbpp (code_items.h)
//       timeout_s: 10               # of an answer's tests
//       memory_mb: 1024
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/eval/scorer.h"

namespace weir::ops {

struct SuiteLimits {
  static constexpr size_t kFileBytes = size_t{64} << 20;  // of items
  static constexpr size_t kTasks = 256;
  static constexpr size_t kItems = 1'000'000;
  static constexpr size_t kChoices = 64;
  static constexpr size_t kStops = 16;
  static constexpr int32_t kShots = 64;
  static constexpr size_t kPatterns = 64;
  static constexpr size_t kLengths = 32;  // of a retrieval task; depths too
  static constexpr double kContextTokens = 1 << 24;
};

// A haystack of each length with the needle at each depth. "{n}" in needle, question and answer is
// a number of seven digits, another one in each item.
struct RetrievalSpec {
  std::vector<int32_t> lengths;  // tokens of the prompt, without what the chat template adds
  std::vector<double> depths;    // 0: the needle stands first, 1: last
  std::string needle = "The secret number of the lighthouse is {n}.";
  std::string question = "What is the secret number of the lighthouse? Answer with the number.";
  std::string answer = "{n}";  // what the model's words must hold
};

struct SuiteTask {
  std::string name;
  std::string kind;     // "multiple_choice", "generate", "retrieval", "determinism", "code"
  std::string file;     // as the suite has it
  std::string answers;  // of bfcl: the file with the right calls; may be empty
  std::string
      format;  // "hellaswag", "jsonl", "gsm8k", "bfcl", "humaneval", "mbpp"; "" of retrieval
  std::string metric;  // "acc", "acc_norm"; "same" of determinism
  int64_t limit = 0;   // 0: all items
  int line = 0;
  // Of multiple choice: answered items before each prompt, the first of the file `examples`, or,
  // without one, the last of `file`, which are then not asked.
  int32_t few_shot = 0;
  std::string examples;
  // Kinds that generate.
  int32_t max_tokens = 256;
  std::vector<std::string> stop;
  bool chat = true;
  std::string instruction;
  ScorerOptions scorer;
  RetrievalSpec retrieval;
  int32_t timeout_s = 10;    // of code, for the tests of one answer
  int32_t memory_mb = 1024;  // MiB of address space, likewise

  bool generates() const { return kind != "multiple_choice"; }
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
  // What stands before the prompt: answered items, a blank line behind each.
  std::string shots = {};
};

// "hellaswag": six lines an item: context, number of the right ending, four endings. "jsonl": an
// object a line with prompt, choices (a list of texts), answer (its index), and id, which may be
// absent. Errors: kCorrupt naming line and field, ids that stand twice too; kLimit.
Result<std::vector<ChoiceItem>> parse_choice_items(std::string_view text, std::string_view format,
                                                   std::string_view name);

}  // namespace weir::ops
