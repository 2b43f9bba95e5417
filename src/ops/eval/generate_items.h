// Items of the kinds that generate, from the files that a suite names. The text is taken for
// hostile. Any thread.
//
// "jsonl" is an object a line: `prompt` (a text) or `messages` (a list of {"role", "content"}),
// `id` and `tools` (as a chat request has them) where there are some, and what the task's scorer
// reads: `answer`, `schema` or `expect`. "gsm8k" has question and answer, the number behind "####".
// "bfcl" has id, question (a list of conversations, of which the first counts) and function; the
// right calls stand in a second file, by id, and without one no call is right.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/eval/suite.h"
#include "text/json.h"

namespace weir::ops {

struct GenerateItem {
  std::string id;
  std::string prompt;   // "" where there are messages
  text::Json messages;  // array, or null
  text::Json tools;     // array, or null
  text::Json expected;  // as Scorer::expectation made it; null without a scorer

  // The prompt, or the messages as JSON.
  std::string shown() const;
};

struct NamedText {
  std::string name;  // of the file, for errors
  std::string text;
};

// Errors: kCorrupt naming file, line and member, ids that stand twice too; kLimit.
Result<std::vector<GenerateItem>> parse_generate_items(const SuiteTask& task, const NamedText& file,
                                                       const NamedText& answers);

}  // namespace weir::ops
