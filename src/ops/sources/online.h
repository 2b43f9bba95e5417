// Whether the addresses of a ledger still answer, by HTTPS.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "http/https_head.h"
#include "ops/sources/sources.h"

namespace weir::ops {

enum class OnlineState : uint8_t {
  kFine,         // 2xx
  kMoved,        // after a permanent redirect (301, 308)
  kChanged,      // its Last-Modified is after the day it was read
  kGone,         // 404, 410
  kRefused,      // 401, 403, 429 and other 4xx: perhaps only to programs
  kBroken,       // 5xx, too many redirects, TLS
  kUnreachable,  // no network, or the host is not there: nothing is known
};
std::string_view online_state_name(OnlineState state);  // "fine"

struct OnlineAnswer {
  OnlineState state = OnlineState::kUnreachable;
  int status = 0;             // of the last answer; 0: none
  std::string address;        // where it ended
  std::string last_modified;  // a day; often empty
  std::string what;           // for people
};

struct OnlineOptions {
  http::HttpsTrust trust;
  std::chrono::milliseconds timeout{10'000};  // of one request
  size_t at_once = 8;
};

// One answer of a server to `method` at `url`. Errors as https_head's.
using OnlineAsk = std::function<Result<http::Response>(const std::string& url, const char* method)>;

// HEAD, or GET where a server does not take that; up to five redirects. Pure but for `ask`.
OnlineAnswer check_address(const Source& source, const OnlineAsk& ask);

// Of each source in turn, at_once at a time, on threads of its own; answers in the sources' order.
std::vector<OnlineAnswer> check_online(std::span<const Source* const> sources,
                                       const OnlineOptions& options);

// "2026-11-30" of an HTTP date ("Mon, 30 Nov 2026 03:00:00 GMT"); "" where it is none.
std::string http_day(std::string_view date);

}  // namespace weir::ops
