#include "access/http_observer.h"

#include <span>

namespace weir::access {
namespace {

// Of what matched no pattern, or was refused before it was looked for.
constexpr std::string_view kUnknownRoute = "unknown";

bool is_probe(std::string_view route) {
  return route == "/health" || route == "/ready" || route == "/metrics";
}

}  // namespace

void HttpObserver::on_request_end(const http::RequestRecord& r) {
  using telemetry::LogLevel;
  const http::AnswerNotes& n = r.notes;
  const LogLevel level = r.status >= 500     ? LogLevel::kWarn
                         : is_probe(n.route) ? LogLevel::kDebug
                                             : LogLevel::kInfo;
  if (!log_.enabled(level)) return;
  const std::string_view end =
      r.disconnect.has_value() ? http::close_reason_name(*r.disconnect) : "";
  const telemetry::LogField fields[] = {{"request_id", r.request_id},
                                        {"method", r.method},
                                        {"route", n.route.empty() ? kUnknownRoute : n.route},
                                        {"status", r.status},
                                        {"ms", r.seconds * 1e3},
                                        {"tenant", n.tenant},
                                        {"prompt_tokens", n.prompt_tokens},
                                        {"cached_tokens", n.cached_tokens},
                                        {"completion_tokens", n.completion_tokens},
                                        {"error", n.error_code},
                                        {"limit", r.limit},
                                        {"disconnect", end},
                                        {"model", n.model},
                                        {"upstream", n.upstream}};
  constexpr size_t kOfAGateway = 2;  // the last ones
  log_.log_all(level, "request",
               std::span(fields).first(std::size(fields) - (n.model.empty() ? kOfAGateway : 0)));
}

}  // namespace weir::access
