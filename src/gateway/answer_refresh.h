// A new answer in place of one in the cache that is stale: asked for behind the client that was
// given the old one. It is a request of that client's tenant like any other: their quotas count
// it, and where they have nothing left the old answer stays until it is too old. On the proxy's
// thread.
#pragma once

#include "gateway/answer_store.h"
#include "gateway/call.h"
#include "gateway/proxy.h"

namespace weir::gateway {

// Asks; the sink of what it asks lives until that has ended. proxy outlives it.
void refresh_answer(Proxy& proxy, KeepAs as, Asked asked);

}  // namespace weir::gateway
