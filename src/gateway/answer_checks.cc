#include "gateway/answer_checks.h"

#include "text/json_schema.h"

namespace weir::gateway {
namespace {

using text::Json;

std::optional<text::Pattern> compiled(const std::string& pattern) {
  if (pattern.empty()) return std::nullopt;
  auto made = text::Pattern::make(pattern, false, AnswerChecks::kMaxPatternSteps);
  return made.ok() ? std::optional(std::move(*made)) : std::nullopt;
}

bool fits(const Json& schema, std::string_view text) {
  const auto value = Json::parse(text);
  return value.ok() && text::schema_violation(schema, *value).empty();
}

bool at_least(const std::optional<double>& value, const std::optional<double>& bound) {
  return !bound.has_value() || (value.has_value() && *value >= *bound);
}

}  // namespace

AnswerChecks::AnswerChecks(const AnswerCheckConfig& config)
    : config_(config), regex_(compiled(config.regex)) {
  if (config.judge.has_value()) accept_ = compiled(config.judge->accept);
}

std::string_view AnswerChecks::refused_by(const AnswerContent& answer) const {
  const bool sized = answer.text.size() <= kMaxTextBytes;
  if (regex_.has_value() && !(sized && regex_->first_in(answer.text).matches)) return "regex";
  if (config_.schema.has_value() && !(sized && fits(*config_.schema, answer.text))) return "schema";
  if (!at_least(answer.mean_logprob, config_.mean_logprob) ||
      !at_least(answer.least_logprob, config_.least_logprob))
    return "logprob";
  return "";
}

std::string AnswerChecks::judge_request(const Question& question, std::string_view answer) const {
  const JudgeConfig& judge = *config_.judge;
  const std::string conversation = question.before + "user: " + question.text + "\n";
  Json message = Json::object();
  message.set("role", "user");
  message.set("content", fill_prompt(judge.prompt, {question.text, conversation, answer}));
  Json body = Json::object();
  body.set("model", judge.model);
  body.set("messages", Json::array()).push_back(std::move(message));
  body.set("max_tokens", judge.max_tokens);
  body.set("temperature", 0);
  return body.dump();
}

bool AnswerChecks::judge_accepts(std::string_view verdict) const {
  return accept_.has_value() && verdict.size() <= kMaxTextBytes &&
         accept_->first_in(verdict).matches;
}

std::string http_check_body(std::string_view model, std::string_view route,
                            std::string_view request, std::string_view answer) {
  return fmt::format(R"({{"model":{},"route":{},"request":{},"answer":{}}})",
                     text::json_quote(model), text::json_quote(route), request, answer);
}

Result<bool> http_check_verdict(int status, std::string_view body) {
  const auto said = Json::parse(body);
  const Json* accept = said.ok() ? said->find("accept") : nullptr;
  if (status != 200 || accept == nullptr || !accept->is_bool())
    return make_error(ErrorCode::kCorrupt,
                      "the check must answer 200 with {{\"accept\": true}} or "
                      "false; it answered {}",
                      status);
  return accept->as_bool();
}

}  // namespace weir::gateway
