// What cascades and routers read: logs of evaluations, questions, answers that are judged and
// played as streams, verdicts of programs, models of routers. The first byte chooses.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/answer_checks.h"
#include "gateway/route/route_log.h"
#include "gateway/whole_answer.h"
#include "text/json.h"

namespace {

using namespace weir::gateway;
using weir::text::Json;

void log(std::string_view text) {
  const auto read = parse_route_log(text, "l");
  if (!read.ok()) return;
  if (read->items.size() != read->features.size()) std::abort();
  for (const DifficultyFeatures& features : read->features)
    for (const double x : features)
      if (!std::isfinite(x)) std::abort();
}

void judge(const Json& answer) {
  AnswerCheckConfig config;
  config.regex = "(a+)+$";
  config.mean_logprob = -1;
  config.judge = JudgeConfig{.model = "m", .prompt = "{question}{answer}", .accept = "y"};
  const AnswerChecks checks(config);
  const AnswerContent content = read_answer_content(answer);
  (void)checks.refused_by(content);
  if (!Json::parse(checks.judge_request(read_question(answer), content.text)).ok()) std::abort();
}

// A step's request is JSON, and no stream.
void ask(const Json& body) {
  if (!body.is_object()) return;
  const auto whole = Json::parse(whole_request(body, "/v1/chat/completions", true));
  if (!whole.ok()) std::abort();
  const Json* stream = whole->find("stream");
  if (stream != nullptr && *stream != Json(false)) std::abort();
}

void play(Json answer, std::string_view body) {
  strip_logprobs(answer);
  for (const Protocol protocol : {Protocol::kOpenAi, Protocol::kAnthropic}) {
    const auto events = play_as_stream(answer, body, "/v1/chat/completions", protocol, true);
    if (events.ok() && events->empty()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 4 == 0) log(text);
  if (data[0] % 4 == 1) (void)http_check_verdict(200, text);
  if (data[0] % 4 == 2) (void)DifficultyModel::parse(text);
  if (data[0] % 4 != 3) return 0;
  const auto json = Json::parse(text);
  if (!json.ok()) return 0;
  judge(*json);
  ask(*json);
  play(*json, text);
  return 0;
}
