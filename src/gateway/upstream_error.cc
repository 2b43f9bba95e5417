#include "gateway/upstream_error.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/replies.h"
#include "gateway/translate/translate.h"
#include "http/retry_after.h"
#include "http/sse.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

constexpr size_t kMaxCodeBytes = 64;

struct Row {
  int status = 502;
  std::string_view code = "upstream_error";
  std::string_view what = "failed";
};

Row row_of(const AttemptOutcome& last) {
  switch (last.end) {
    case AttemptEnd::kConnectFailed:
      return {503, "upstream_unavailable", "cannot be reached"};
    case AttemptEnd::kNoFirstByte:
    case AttemptEnd::kStalled:
      return {504, "upstream_timeout", "took too long"};
    case AttemptEnd::kCut:
      return {502, "upstream_error", "broke off its answer"};
    case AttemptEnd::kMalformed:
      return {502, "upstream_error", "sent what is no answer of this API"};
    case AttemptEnd::kTooLarge:
      return {502, "upstream_error", "sent an answer beyond the bounds"};
    case AttemptEnd::kCancelled:
    case AttemptEnd::kNotTried:
      return {503, "upstream_unavailable", "was not asked"};
    case AttemptEnd::kAnswered:
      break;
  }
  if (last.status == 429 || last.status == 503 || last.status == 529)
    return {503, "upstream_overloaded", "has no room"};
  if (last.no_api)
    return {502, "upstream_error",
            "answered 404 for its URL, which is not about the model: it has no such route, or "
            "check the base path of its endpoint"};
  return {};
}

// Not what an upstream or its client made up: logs are read by programs.
bool is_code(std::string_view text) {
  return !text.empty() && text.size() <= kMaxCodeBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
         });
}

// The time that ran out was the client's own, and says nothing about the upstream.
bool of_client(const AttemptOutcome& last, const Deadline& deadline) {
  return last.by_deadline && last.deadline_over && deadline.of_client() &&
         (last.end == AttemptEnd::kNoFirstByte || last.end == AttemptEnd::kStalled);
}

std::string body_of(const Row& row, std::string_view message, Protocol client) {
  text::Json error = text::Json::object();
  text::Json body = text::Json::object();
  if (client == Protocol::kAnthropic) {
    error.set("type", row.status == 503   ? "overloaded_error"
                      : row.status == 504 ? "timeout_error"
                                          : "api_error");
    error.set("message", message);
    body.set("type", "error");
  } else {
    error.set("message", message);
    error.set("type", "server_error");
    error.set("param", nullptr);
    error.set("code", row.code);
  }
  body.set("error", std::move(error));
  return body.dump();
}

constexpr Row kWithheld{502, kAnswerWithheld,
                        "the answer held what looks like a key and is kept back"};

}  // namespace

std::string error_event(std::string_view data, Protocol client) {
  std::string out;
  if (client == Protocol::kAnthropic) {
    http::append_sse_event(out, "error", data);
  } else {
    http::append_sse_data(out, data);
  }
  return out;
}

Protocol protocol_of_path(std::string_view path) {
  return path.starts_with("/v1/messages") ? Protocol::kAnthropic : Protocol::kOpenAi;
}

http::Response refusal(const Error& error, Protocol client, std::string_view request_id) {
  http::Response r = api::error_response(error, request_id);
  if (client == Protocol::kAnthropic) r.body = error_body(client, error, request_id);
  if (error.retry_after_s < 0) {
    r.headers.remove("Retry-After");
    r.headers.set("x-should-retry", "false");
  }
  return r;
}

std::string_view upstream_failure_code(const AttemptOutcome& last, int attempts) {
  return attempts == 0 ? "upstream_unavailable" : row_of(last).code;
}

std::string refusal_code(std::string_view body) {
  const auto json = text::Json::parse(body);
  const text::Json* error = json.ok() ? json->find("error") : nullptr;
  for (const std::string_view name : {"code", "type"}) {
    const text::Json* value = error != nullptr ? error->find(name) : nullptr;
    if (value != nullptr && value->is_string() && is_code(value->as_string()))
      return value->as_string();
  }
  return "upstream_refused";
}

http::Response upstream_failure(const AttemptOutcome& last, int attempts, int64_t retry_after_ms,
                                Protocol client, const Deadline& deadline) {
  const Row row = attempts == 0 ? Row{503, "upstream_unavailable", ""} : row_of(last);
  const std::string message =
      attempts == 0 ? std::string("no upstream of this model takes requests at present")
      : of_client(last, deadline)
          ? fmt::format(
                "the client's deadline of {} ms ended the wait for an answer, in attempt {}",
                deadline.client_ms, attempts)
      : attempts == 1 ? fmt::format("the upstream {}", row.what)
                      : fmt::format("{} attempts failed; the last upstream {}", attempts, row.what);
  http::Response r = http::json_response(row.status, body_of(row, message, client));
  if (retry_after_ms > 0 || row.status == 503) {
    r.headers.set("Retry-After", std::to_string(http::retry_after_seconds(retry_after_ms)));
    r.headers.set("x-should-retry", "true");
  }
  return r;
}

std::string upstream_failure_event(const AttemptOutcome& last, Protocol client,
                                   const Deadline& deadline) {
  const Row row = row_of(last);
  const std::string message =
      of_client(last, deadline)
          ? fmt::format("the client's deadline of {} ms passed in the middle of the answer",
                        deadline.client_ms)
      : last.end == AttemptEnd::kCut
          ? std::string("the upstream broke off in the middle of its answer")
          : fmt::format("the upstream {} in the middle of its answer", row.what);
  return error_event(body_of(row, message, client), client);
}

http::Response answer_withheld(Protocol client) {
  return http::json_response(kWithheld.status, body_of(kWithheld, kWithheld.what, client));
}

std::string refusal_event(const Error& error, Protocol client, std::string_view request_id) {
  return error_event(error_body(client, error, request_id), client);
}

std::string answer_withheld_event(Protocol client) {
  return error_event(body_of(kWithheld, kWithheld.what, client), client);
}

}  // namespace weir::gateway
