// A new answer in place of one in the cache that is stale: asked for behind the client that was
// given the old one. It is a request of that client's tenant like any other: the limits of the keys
// file and the quotas count it, and where one of them has nothing left the old answer stays until
// it is too old. On the proxy's thread.
#pragma once

#include "gateway/answer_store.h"
#include "gateway/call.h"
#include "gateway/proxy.h"

namespace weir::gateway {

// Asks, once the request that it comes from has had its answer: of a tenant's concurrent requests
// it is not one more. The sink of what it asks lives until that has ended. proxy outlives it.
void refresh_answer(Proxy& proxy, KeepAs as, Asked asked);

}  // namespace weir::gateway
