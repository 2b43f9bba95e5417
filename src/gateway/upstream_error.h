// What a client is told when no upstream gave it an answer, or none was asked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "gateway/resilience/attempt.h"
#include "gateway/resilience/deadline.h"
#include "gateway/translate/protocol.h"
#include "http/message.h"

namespace weir::gateway {

// The last event of a stream that ends in an error; data: the error's body in that protocol.
std::string error_event(std::string_view data, Protocol client);
// Which a client speaks that asks for this path.
Protocol protocol_of_path(std::string_view path);
// The gateway's own refusal in the client's protocol. retry_after_s below 0: the client is told not
// to try again.
http::Response refusal(const Error& error, Protocol client, std::string_view request_id);
// 503 upstream_unavailable or upstream_overloaded, 504 upstream_timeout or 502 upstream_error, in
// the client's protocol. Nothing of the upstream's address is said. attempts 0: nobody could be
// asked. retry_after_ms > 0: with Retry-After. deadline: of the request; where it was the client's
// own that ended the wait, the message says so.
http::Response upstream_failure(const AttemptOutcome& last, int attempts, int64_t retry_after_ms,
                                Protocol client, const Deadline& deadline = {});
// The same as the last events of a stream that has begun.
std::string refusal_event(const Error& error, Protocol client, std::string_view request_id);
std::string upstream_failure_event(const AttemptOutcome& last, Protocol client,
                                   const Deadline& deadline = {});
// 502 with this code: it held what looks like a key.
inline constexpr std::string_view kAnswerWithheld = "answer_withheld";
http::Response answer_withheld(Protocol client);
std::string answer_withheld_event(Protocol client);
// The code of an upstream's refusal, for logs; body: as the client gets it. Its type where it has
// none, "upstream_refused" where that is no word either.
std::string refusal_code(std::string_view body);
// "upstream_timeout" and so on, for logs.
std::string_view upstream_failure_code(const AttemptOutcome& last, int attempts);

}  // namespace weir::gateway
