#include "gateway/upstream_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/json.h"

namespace weir::gateway {
namespace {

struct Row {
  AttemptEnd end;
  std::string_view name;
  int status;
  std::string_view code;
  std::string_view what;
};

constexpr Row kRows[] = {
    {AttemptEnd::kAnswered, "answered", 502, "upstream_error", "gave no answer"},
    {AttemptEnd::kConnect, "connect", 503, "upstream_unavailable", "cannot be reached"},
    {AttemptEnd::kTimeout, "timeout", 504, "upstream_timeout", "took too long"},
    {AttemptEnd::kCut, "cut", 502, "upstream_error", "broke off its answer"},
    {AttemptEnd::kMalformed, "malformed", 502, "upstream_error",
     "sent what is no answer of this API"},
    {AttemptEnd::kServerError, "server_error", 502, "upstream_error", "failed"},
    {AttemptEnd::kOverloaded, "overloaded", 503, "upstream_overloaded", "has no room"},
    {AttemptEnd::kCancelled, "cancelled", 503, "upstream_unavailable", "was left"},
};

const Row& row_of(AttemptEnd end) {
  return *std::find_if(std::begin(kRows), std::end(kRows),
                       [&](const Row& r) { return r.end == end; });
}

std::string body_of(const Row& row, std::string_view message, bool anthropic) {
  text::Json error = text::Json::object();
  text::Json body = text::Json::object();
  if (anthropic) {
    error.set("type", row.status == 503 ? "overloaded_error"
                                        : (row.status == 504 ? "timeout_error" : "api_error"));
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

}  // namespace

std::string_view attempt_end_name(AttemptEnd end) { return row_of(end).name; }

http::Response upstream_failure(AttemptEnd end, int attempts, double retry_after_s,
                                bool anthropic) {
  const Row& row = row_of(end);
  const std::string message =
      attempts == 0   ? std::string("no upstream of this model takes requests at present")
      : attempts == 1 ? fmt::format("the upstream {}", row.what)
                      : fmt::format("{} attempts failed; the last upstream {}", attempts, row.what);
  http::Response r = http::json_response(row.status, body_of(row, message, anthropic));
  if (retry_after_s > 0 || row.status == 503) {
    const auto seconds = static_cast<int64_t>(std::ceil(std::max(retry_after_s, 1.0)));
    r.headers.set("Retry-After", std::to_string(seconds));
    r.headers.set("x-should-retry", "true");
  }
  return r;
}

std::string upstream_failure_event(AttemptEnd end, bool anthropic) {
  const Row& row = row_of(end);
  const std::string data =
      body_of(row, fmt::format("the upstream {} in the middle of its answer", row.what), anthropic);
  return anthropic ? fmt::format("event: error\ndata: {}\n\n", data)
                   : fmt::format("data: {}\n\n", data);
}

}  // namespace weir::gateway
