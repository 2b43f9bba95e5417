#include "gateway/whole_answer.h"

#include <algorithm>

#include "gateway/cache/replay.h"
#include "gateway/translate/answers.h"
#include "gateway/translate/translate.h"
#include "http/sse.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr std::string_view kChat = "/v1/chat/completions";
constexpr std::string_view kCompletions = "/v1/completions";
constexpr std::string_view kMessages = "/v1/messages";

// Of each part of that kind, joined.
std::string text_of_parts(const Json& parts, std::string_view kind) {
  std::string out;
  if (!parts.is_array()) return out;
  for (const Json& part : parts.items()) {
    const Json* type = part.find("type");
    const Json* text = part.find("text");
    if (type != nullptr && text != nullptr && *type == Json(kind) && text->is_string())
      out += text->as_string();
  }
  return out;
}

const Json* first_choice(const Json& answer) {
  const Json* choices = answer.find("choices");
  const bool any = choices != nullptr && choices->is_array() && choices->size() > 0;
  return any ? &choices->items()[0] : nullptr;
}

std::string text_of(const Json& answer) {
  if (const Json* choice = first_choice(answer)) {
    const Json* message = choice->find("message");
    const Json* text = message != nullptr ? message->find("content") : choice->find("text");
    return text != nullptr && text->is_string() ? text->as_string() : "";
  }
  if (const Json* content = answer.find("content")) return text_of_parts(*content, "text");
  std::string out;
  const Json* output = answer.find("output");
  if (output == nullptr || !output->is_array()) return out;
  for (const Json& item : output->items())
    if (const Json* content = item.find("content")) out += text_of_parts(*content, "output_text");
  return out;
}

// Of a chat's tokens, or of a completion's.
std::vector<double> logprobs_of(const Json& choice) {
  std::vector<double> out;
  const Json* all = choice.find("logprobs");
  if (all == nullptr) return out;
  const Json* tokens = all->find("content");
  if (tokens == nullptr) tokens = all->find("token_logprobs");
  if (tokens == nullptr || !tokens->is_array()) return out;
  for (const Json& token : tokens->items()) {
    const Json* value = token.is_object() ? token.find("logprob") : &token;
    if (value != nullptr && value->is_number()) out.push_back(value->as_double());
  }
  return out;
}

void remove(Json& object, std::string_view key) {
  std::erase_if(object.members(), [&](const auto& member) { return member.first == key; });
}

}  // namespace

AnswerContent read_answer_content(const Json& answer) {
  AnswerContent out;
  out.text = text_of(answer);
  const Json* choice = first_choice(answer);
  if (choice == nullptr) return out;
  const std::vector<double> logprobs = logprobs_of(*choice);
  if (logprobs.empty()) return out;
  double sum = 0;
  for (const double p : logprobs) sum += p;
  out.mean_logprob = sum / static_cast<double>(logprobs.size());
  out.least_logprob = *std::min_element(logprobs.begin(), logprobs.end());
  return out;
}

bool asks_logprobs(const Json& body) {
  const Json* asked = body.find("logprobs");
  return asked != nullptr && !asked->is_null() && *asked != Json(false);
}

std::string whole_request(Json body, std::string_view route, bool logprobs) {
  if (body.find("stream") != nullptr) body.set("stream", false);
  remove(body, "stream_options");
  if (logprobs && !asks_logprobs(body)) {
    if (route == kChat) body.set("logprobs", true);
    if (route == kCompletions) body.set("logprobs", 1);  // with the likeliest token: 0 says less
  }
  return body.dump();
}

void strip_logprobs(Json& answer) {
  Json* choices = answer.find("choices");
  if (choices == nullptr || !choices->is_array()) return;
  for (Json& choice : choices->items())
    if (Json* logprobs = choice.find("logprobs")) *logprobs = Json();
}

bool can_play(std::string_view path) {
  return path == kChat || path == kCompletions || path == kMessages;
}

Result<std::vector<std::string>> play_as_stream(const Json& answer, std::string_view body,
                                                std::string_view path, Protocol protocol,
                                                bool include_usage) {
  if (protocol == Protocol::kOpenAi) {
    WEIR_ASSIGN(std::vector<std::string> events,
                replay_stream(answer, {.include_usage = include_usage}));
    for (std::string& event : events) event = http::sse_data(event);
    return events;
  }
  // By way of OpenAI's events, which are written anew as Anthropic's.
  AnswerPlan plan;
  plan.client = Protocol::kAnthropic;
  plan.path = path;
  plan.stream = true;
  WEIR_ASSIGN(const translate::Answer read, translate::read_anthropic_answer(body, plan.limits));
  WEIR_ASSIGN(const Json chat, Json::parse(translate::write_openai_answer(read)));
  WEIR_ASSIGN(const std::vector<std::string> events, replay_stream(chat, {.include_usage = true}));
  const auto translator = make_answer_translator(plan);
  WEIR_TRY(translator->begin(200, http::kSseContentType));
  std::vector<std::string> out;
  for (const std::string& event : events) {
    std::string piece;
    WEIR_TRY(translator->feed(http::sse_data(event), piece));
    if (!piece.empty()) out.push_back(std::move(piece));
  }
  std::string end;
  WEIR_TRY(translator->end(end));
  if (!end.empty()) out.push_back(std::move(end));
  return out;
}

}  // namespace weir::gateway
