#include "gateway/resilience/deadline.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/units.h"

namespace weir::gateway {

namespace {

constexpr std::string_view kOwnHeader = "x-weir-deadline-ms";

// A number of `unit_ms` milliseconds in 1 ms .. a day, or nothing.
std::optional<int64_t> as_deadline_ms(std::string_view text, double unit_ms) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc() || stop != end) return std::nullopt;
  const double ms = value * unit_ms;
  if (!(ms >= 1.0) || ms > static_cast<double>(kLongestDeadlineMs)) return std::nullopt;
  return static_cast<int64_t>(ms);
}

struct Synonym {
  std::string_view name;
  double unit_ms;
};
constexpr std::array<Synonym, 3> kSynonyms = {{{"x-envoy-expected-rq-timeout-ms", 1.0},
                                               {"x-portkey-request-timeout", 1.0},
                                               {"x-litellm-timeout", 1000.0}}};

// 0 is none for both.
int64_t sooner(int64_t a, int64_t b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

Result<std::optional<int64_t>> client_deadline_ms(const http::Headers& headers) {
  std::optional<int64_t> out;
  if (const auto value = headers.find(kOwnHeader)) {
    int64_t ms = 0;
    const char* end = value->data() + value->size();
    const auto [stop, error] = std::from_chars(value->data(), end, ms);
    if (error != std::errc() || stop != end || ms < 1 || ms > kLongestDeadlineMs)
      return param_error(
          ErrorCode::kInvalidValue, kOwnHeader,
          "the header x-weir-deadline-ms must be a number of milliseconds between 1 and {}",
          kLongestDeadlineMs);
    out = ms;
  }
  for (const Synonym& synonym : kSynonyms) {
    const auto value = headers.find(synonym.name);
    if (!value) continue;
    const auto ms = as_deadline_ms(*value, synonym.unit_ms);
    if (ms && (!out || *ms < *out)) out = ms;
  }
  return out;
}

bool is_deadline_header(std::string_view name) {
  if (http::iequals(name, kOwnHeader) || http::iequals(name, "x-litellm-stream-timeout") ||
      http::iequals(name, "x-envoy-upstream-rq-timeout-ms"))
    return true;
  return std::any_of(kSynonyms.begin(), kSynonyms.end(),
                     [name](const Synonym& s) { return http::iequals(name, s.name); });
}

Deadline request_deadline(std::optional<int64_t> client_ms, const RouteTimeouts& route,
                          int64_t received_ns) {
  const int64_t ms = sooner(client_ms.value_or(0), route.total_ms);
  if (ms == 0) return {};
  return {received_ns + ms * kNsPerMs, client_ms == ms ? ms : 0};
}

int64_t remaining_ms(const Deadline& deadline, int64_t now_ns) {
  if (deadline.at_ns == 0) return 0;
  return std::max<int64_t>(1, (deadline.at_ns - now_ns) / kNsPerMs);
}

AttemptTimeouts attempt_timeouts(const RouteTimeouts& route, const Deadline& deadline,
                                 int64_t now_ns, int32_t attempts_left, bool stream,
                                 int64_t min_share_ms) {
  const int64_t left = remaining_ms(deadline, now_ns);
  int64_t first_byte = route.first_byte_ms;
  bool by_deadline = false;
  if (left > 0) {
    const bool share = stream && attempts_left > 1;
    const int64_t most = share ? std::min(left, std::max(left / 2, min_share_ms)) : left;
    by_deadline = deadline.of_client() && (first_byte == 0 || most < first_byte);
    first_byte = sooner(first_byte, most);
  }
  AttemptTimeouts out;
  using std::chrono::milliseconds;
  out.client.connect = milliseconds(sooner(route.connect_ms, left));
  out.client.first_byte = milliseconds(first_byte);
  out.client.idle = milliseconds(route.idle_ms);
  out.client.total = milliseconds(left);
  out.first_byte_by_deadline = by_deadline;
  out.total_by_deadline = left > 0 && deadline.of_client();
  return out;
}

}  // namespace weir::gateway
