// What a client is told of its quotas beside its answer. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "gateway/state/quota.h"
#include "http/message.h"

namespace weir::gateway {

// x-ratelimit-*-requests and -tokens, of the limits of requests and of all tokens: of several of a
// kind the one of which least is left. answer: of their reservation, whose own estimate is taken
// already; refused, of the limit that refused it. Nothing where nothing is counted. reset: when the
// present window is over; of a minute, which slides, when what was taken now has left it.
http::Headers quota_headers(const std::vector<QuotaLimit>& limits, const QuotaAnswer& answer,
                            int64_t unix_ms);

}  // namespace weir::gateway
