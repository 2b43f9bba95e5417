// What a client or an upstream sends through the gateway, from each protocol to each: requests,
// whole answers, streams. The first byte chooses; how a stream arrives does not change what comes
// out.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/translate/count_tokens.h"
#include "gateway/translate/translate.h"
#include "http/sse_reader.h"
#include "text/json.h"

namespace {

using namespace weir::gateway;

// Small, so that inputs reach them.
TranslateLimits limits() {
  TranslateLimits l;
  l.max_messages = 64;
  l.max_blocks = 64;
  l.max_tools = 16;
  l.max_event_bytes = 2048;
  l.max_pending_bytes = 512;
  l.max_observed_text_bytes = 128;
  return l;
}

std::string_view path_of(Protocol protocol, bool other) {
  if (protocol == Protocol::kAnthropic) return "/v1/messages";
  return other ? "/v1/responses" : "/v1/chat/completions";
}

void request(Protocol client, Protocol upstream, bool lenient, std::string_view body) {
  TranslateOptions o;
  o.limits = limits();
  o.drop_unsupported = lenient;
  o.sampling = lenient ? SamplingStyle::kAll : SamplingStyle::kDrop;
  o.thinking = lenient ? ThinkingStyle::kBudget : ThinkingStyle::kEffort;
  o.upstream_model = "up";
  const auto r = translate_request(client, upstream, path_of(client, false), body, o);
  (void)estimate_input_tokens(body, {});
  // Who has read the body need not look at it again, and sends the same.
  translate::RequestText text{std::string(body)};
  if (text.read().ok() && text.spots() != nullptr) {
    const auto known =
        translate_request(client, upstream, path_of(client, false), body, o, text.spots());
    if (known.ok() != r.ok() || (r.ok() && known->body != r->body)) std::abort();
  }
  if (!r.ok() || client == upstream) return;
  if (!weir::text::Json::parse(r->body, {.max_depth = 200}).ok()) std::abort();
}

AnswerPlan plan_of(Protocol client, Protocol upstream, bool other) {
  AnswerPlan plan;
  plan.client = client;
  plan.upstream = upstream;
  plan.path = path_of(client, other);
  plan.client_model = "alias";
  plan.include_usage = other;
  plan.limits = limits();
  return plan;
}

void whole(const AnswerPlan& plan, std::string_view body) {
  const auto answer = make_answer_translator(plan);
  const auto r = answer->whole(200, "application/json", body);
  if (r.ok() && plan.client != plan.upstream &&
      !weir::text::Json::parse(r->body, {.max_depth = 200}).ok()) {
    std::abort();
  }
  if (!make_answer_translator(plan)->whole(500, "text/html", body).ok()) std::abort();
}

std::string stream(const AnswerPlan& plan, std::string_view bytes, size_t step) {
  const auto answer = make_answer_translator(plan);
  std::string out;
  weir::Status s = answer->begin(200, "text/event-stream");
  for (size_t at = 0; s.ok() && at < bytes.size(); at += step) {
    s = answer->feed(bytes.substr(at, step), out);
  }
  if (s.ok()) s = answer->end(out);
  if (answer->observer().text().size() > plan.limits.max_observed_text_bytes) std::abort();
  // Whether it was the event or the bytes behind it that passed a bound depends on the steps.
  return s.ok() ? out : "failed";
}

// Broken off in the middle and gone on with at an upstream of either protocol.
void resumed(const AnswerPlan& plan, Protocol second, std::string_view bytes) {
  const auto answer = make_answer_translator(plan);
  std::string out;
  if (!answer->feed(bytes.substr(0, bytes.size() / 2), out).ok()) return;
  if (!answer->observer().can_continue() || !answer->resume(second).ok()) return;
  if (answer->feed(bytes.substr(bytes.size() / 2), out).ok()) (void)answer->end(out);
  answer->fail(weir::make_error(weir::ErrorCode::kInternal, "x"), "", out);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Protocol client = (data[0] & 1) != 0 ? Protocol::kAnthropic : Protocol::kOpenAi;
  const Protocol upstream = (data[0] & 2) != 0 ? Protocol::kAnthropic : Protocol::kOpenAi;
  const bool flag = (data[0] & 4) != 0;
  switch ((data[0] >> 3) & 3) {
    case 0:
      request(client, upstream, flag, bytes);
      break;
    case 1:
      whole(plan_of(client, upstream, flag), bytes);
      break;
    case 2:
      resumed(plan_of(client, upstream, flag), client, bytes);
      resumed(plan_of(client, upstream, flag), upstream, bytes);
      break;
    default:
      if (stream(plan_of(client, upstream, flag), bytes, 1 + (data[0] >> 5)) !=
          stream(plan_of(client, upstream, flag), bytes, 4096)) {
        std::abort();
      }
  }
  return 0;
}
