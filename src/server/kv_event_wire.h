// Cache events as others read them.
#pragma once

#include <cstdint>
#include <string>

#include "kv/cache_events.h"

namespace weir::server {

// {"seq":3,"ts":1700000000,"events":[{"type":"stored","hash":"…","parent":"…"|null,"tokens":[…]},
// {"type":"removed","hash":"…"},{"type":"cleared"}]}; hashes are 32 hex digits.
std::string kv_events_json(const kv::CacheEventBatch& batch);

// The payload of vLLM's publisher: msgpack of [ts, [event…]], an event being
// ["BlockStored", [hash], parent or nil, [token…], block size, nil (LoRA id), "GPU" (the first
// tier, as vLLM names it on CPUs too), nil (LoRA name)], ["BlockRemoved", [hash], "GPU"] or
// ["AllBlocksCleared"]. Hashes are the low 64 bits: its readers decode integers. Follows
// vllm/distributed/kv_events.py and the msgpack specification.
std::string kv_events_vllm(const kv::CacheEventBatch& batch, int32_t page_tokens);

}  // namespace weir::server
