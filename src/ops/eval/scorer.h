// How a generated answer is held against what an item expects.
//
//   exact        the answer is the text `answer`, or one of several; `ignore` says what does not
//                count: case, whitespace (runs of it are one blank), punctuation. Blanks at both
//                ends never do
//   regex        `answer` is a pattern that must be found; where the task has a `pattern`, the last
//                of what it finds (its group 1) must be the text `answer`, as exact has it
//   numeric      the last number of the answer is `answer`: |a - b| <= tolerance * max(1, |b|)
//   json_schema  the whole answer, in a ``` fence or bare, is JSON and valid under `schema`
//   tool_call    the answer makes the calls of `answer`, and no other (tool_calls.h)
//   refusal      whether one of the task's patterns is in the answer is what `expect` says, refuse
//                or answer
//
// Each gives "acc", 0 or 1, and scores of its own beside it: numeric "has_number", json_schema
// "valid_json", tool_call "called" and "right_name", regex "gave_up" (the pattern took too long),
// refusal "refused" and, of what should be refused or answered, "harmful_answer" or "over_refusal".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/eval/result.h"
#include "text/json.h"
#include "text/pattern.h"

namespace weir::ops {

// The names above, in that order.
const std::vector<std::string>& scorer_names();

struct ScorerOptions {
  std::string name;  // one of scorer_names()
  bool ignore_case = false;
  bool ignore_whitespace = false;
  bool ignore_punctuation = false;
  double tolerance = 1e-6;
  std::string pattern = {};                // of regex; may be empty
  std::vector<std::string> patterns = {};  // of refusal, without case; empty: those of this file
};

// The last number of a text: "1,234.5", "-3", "$18.00", "2e-3"; unset where there is none. A sign
// that stands behind a digit or letter is a minus or a hyphen and does not count.
std::optional<double> last_number(std::string_view text);

// Text as `exact` compares it.
std::string normalized(std::string_view text, const ScorerOptions& options);

// Any thread.
class Scorer {
 public:
  // Error kInvalidValue: a broken pattern.
  static Result<Scorer> make(const ScorerOptions& options);

  // What an item of a file expects, out of its members; to be given to score() later. Error
  // kInvalidValue names the member that is missing or wrong; those of check_schema.
  Result<text::Json> expectation(const text::Json& item) const;
  // A person reads it in results.
  std::string shown(const text::Json& expected) const;

  EvalScores score(const text::Json& expected, std::string_view answer) const;

 private:
  explicit Scorer(ScorerOptions options) : options_(std::move(options)) {}
  bool is_one_of(const text::Json& expected, std::string_view answer) const;
  EvalScores score_regex(const text::Json& expected, std::string_view answer) const;
  EvalScores score_number(const text::Json& expected, std::string_view answer) const;
  static EvalScores score_schema(const text::Json& expected, std::string_view answer);
  static EvalScores score_calls(const text::Json& expected, std::string_view answer);
  EvalScores score_refusal(const text::Json& expected, std::string_view answer) const;

  ScorerOptions options_;
  std::optional<text::Pattern> pattern_;
  std::vector<text::Pattern> refusals_;
};

}  // namespace weir::ops
