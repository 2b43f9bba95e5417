// Cache events over ZeroMQ as vLLM publishes them, so that routers made for it (llm-d and the like)
// can follow a weir: PUB messages [topic, sequence (8 bytes, big endian), payload]; a ROUTER socket
// that answers [sequence to begin with] with [sequence, payload]… and [-1, ""] from the batches
// that are still kept. llm-d filters by topics of the form "kv@ADDRESS@MODEL".
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "kv/cache_events.h"

namespace weir::server {

struct KvEventAddresses {
  std::string publish;  // "tcp://127.0.0.1:5557": bound; "": none
  std::string replay;   // bound; "": none
  std::string topic;
  bool remote = false;  // addresses that other machines reach are allowed
};

// Error kUsage, naming the key, for an address that is not tcp://HOST:PORT or ipc://PATH, for a TCP
// address beyond this machine unless remote (whoever reaches it reads the tokens of prompts, and
// ZeroMQ asks nobody for a key), and for `replay` without `publish`.
Status check_addresses(const KvEventAddresses& addresses);

class KvEventPublisher {
 public:
  // Binds and publishes on a thread of its own until destroyed; events: borrowed. A subscriber that
  // does not read loses messages in ZeroMQ (its high-water mark) and sees the gap. Errors: kIo with
  // the address and the reason.
  static Result<std::unique_ptr<KvEventPublisher>> start(const KvEventAddresses& addresses,
                                                         const kv::CacheEvents& events,
                                                         int32_t page_tokens);
  ~KvEventPublisher();

 private:
  class Impl;
  explicit KvEventPublisher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::server
