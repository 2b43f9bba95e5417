// /admin/kv-events: cache events as server-sent events, to a few subscribers. One that reads too
// slowly is skipped until it has caught up with what waits for it, and goes on with the oldest
// batch that is still kept: what it lost shows as a gap in `seq`.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/thread_annotations.h"
#include "http/message.h"
#include "http/response_writer.h"
#include "kv/cache_events.h"

namespace weir::server {

class KvEventStream {
 public:
  static constexpr size_t kMaxSubscribers = 16;

  // events: borrowed.
  explicit KvEventStream(kv::CacheEvents& events);
  ~KvEventStream();
  KvEventStream(const KvEventStream&) = delete;
  KvEventStream& operator=(const KvEventStream&) = delete;

  // The route; any thread. `?from=N`: from batch N on, as far as it is kept; default: from now on.
  // 400 for another N, 503 for one subscriber too many.
  void handle(const http::Request& request, http::ResponseWriter writer) WEIR_EXCLUDES(mutex_);

 private:
  void push() WEIR_EXCLUDES(mutex_);  // events were published
  struct State {  // shared with the writer's callbacks, which may come after the subscriber is gone
    std::atomic<bool> closed{false};
    std::atomic<bool> slow{false};
  };
  struct Subscriber {
    http::ResponseWriter writer;
    uint64_t next;
    std::shared_ptr<State> state;
  };
  void push_to(Subscriber& s) const;
  void resume(const State* state) WEIR_EXCLUDES(mutex_);  // it takes more again; I/O thread

  kv::CacheEvents& events_;
  Mutex mutex_;
  std::vector<Subscriber> subscribers_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::server
