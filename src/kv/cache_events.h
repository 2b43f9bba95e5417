// What happens to the pages of the prefix cache, for those who route requests to where their prefix
// is: batches with sequence numbers, the newest kept in a ring. Whoever reads too slowly finds a
// gap in the numbers where batches have left the ring; nobody waits for a reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "base/thread_annotations.h"
#include "kv/prefix_tree.h"

namespace weir::kv {

struct CacheEvent {
  enum class Kind { kStored, kRemoved, kCleared };
  Kind kind = Kind::kStored;
  Hash128 hash;                   // of the page after all that stands before it; not of kCleared
  std::optional<Hash128> parent;  // of kStored: the page before it
  std::vector<int32_t> tokens;    // of kStored
};

struct CacheEventBatch {
  uint64_t sequence = 0;  // from 0, without gaps
  int64_t unix_s = 0;
  std::vector<CacheEvent> events;
};

class CacheEvents final : public PrefixTreeObserver {
 public:
  // About 4 MB with pages of 32 tokens: what a pool of half a million tokens changes when all of it
  // is replaced.
  static constexpr size_t kMaxKeptEvents = 16'384;

  explicit CacheEvents(size_t max_kept_events = kMaxKeptEvents) : max_kept_(max_kept_events) {}

  // Engine thread: events gather, publish() makes them a batch.
  void on_stored(const CachedPage& page) override;
  void on_evicted(const CachedPage& page) override;
  void on_cleared() override;
  void publish(int64_t unix_s) WEIR_EXCLUDES(mutex_, listener_mutex_);

  // Any thread. Batches from `sequence` on, or from the oldest kept if that is younger; at most
  // `count`.
  std::vector<std::shared_ptr<const CacheEventBatch>> read(uint64_t sequence, size_t count) const
      WEIR_EXCLUDES(mutex_);
  uint64_t next_sequence() const WEIR_EXCLUDES(mutex_);
  // Any thread. Called after each publish(), on its thread; must return at once. After the call
  // returns, the earlier listener is called no more.
  void listen(std::function<void()> listener) WEIR_EXCLUDES(listener_mutex_);

 private:
  void keep(std::shared_ptr<CacheEventBatch> batch) WEIR_EXCLUDES(mutex_);

  const size_t max_kept_;
  std::vector<CacheEvent> gathered_;
  Mutex listener_mutex_;
  std::function<void()> listener_ WEIR_GUARDED_BY(listener_mutex_);
  mutable Mutex mutex_;
  // Shared: a reader holds a batch after it has left the ring.
  std::deque<std::shared_ptr<const CacheEventBatch>> kept_ WEIR_GUARDED_BY(mutex_);
  size_t kept_events_ WEIR_GUARDED_BY(mutex_) = 0;
  uint64_t next_ WEIR_GUARDED_BY(mutex_) = 0;
};

}  // namespace weir::kv
