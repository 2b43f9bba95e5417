// Whether an answer will do: the checks of a cascade's step, ready to be used. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/config_routing.h"
#include "gateway/question.h"
#include "gateway/whole_answer.h"
#include "text/pattern.h"

namespace weir::gateway {

class AnswerChecks {
 public:
  // Of an answer's text: a longer one passes no regular expression and no schema.
  static constexpr size_t kMaxTextBytes = 1 << 20;
  // A search ends after some 10 ms, unsuccessful: other requests wait meanwhile.
  static constexpr uint32_t kMaxPatternSteps = 50'000;

  // config outlives it, and was read without an error.
  explicit AnswerChecks(const AnswerCheckConfig& config);

  const AnswerCheckConfig& config() const { return config_; }
  // The name of the first check that it does not pass, "" when it passes: of regex, schema and
  // logprob, which need nobody else.
  std::string_view refused_by(const AnswerContent& answer) const;
  // What the judge is asked: an OpenAI chat request. Precondition: there is one.
  std::string judge_request(const Question& question, std::string_view answer) const;
  bool judge_accepts(std::string_view verdict) const;

 private:
  const AnswerCheckConfig& config_;
  std::optional<text::Pattern> regex_;
  std::optional<text::Pattern> accept_;
};

// What a program of the operator's is sent: {"model","route","request","answer"}, the last two as
// they are. model: the step's.
std::string http_check_body(std::string_view model, std::string_view route,
                            std::string_view request, std::string_view answer);
// {"accept": true|false}. Error kCorrupt for anything else.
Result<bool> http_check_verdict(int status, std::string_view body);

}  // namespace weir::gateway
