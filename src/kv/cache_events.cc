#include "kv/cache_events.h"

#include <algorithm>
#include <utility>

namespace weir::kv {

void CacheEvents::on_stored(const CachedPage& page) {
  CacheEvent e;
  e.hash = page.hash;
  if (page.position > 0) e.parent = page.parent;
  e.tokens.assign(page.tokens.begin(), page.tokens.end());
  gathered_.push_back(std::move(e));
}

void CacheEvents::on_evicted(const CachedPage& page) {
  CacheEvent e;
  e.kind = CacheEvent::Kind::kRemoved;
  e.hash = page.hash;
  gathered_.push_back(std::move(e));
}

void CacheEvents::on_cleared() {
  CacheEvent e;
  e.kind = CacheEvent::Kind::kCleared;
  gathered_.push_back(std::move(e));
}

void CacheEvents::publish(int64_t unix_s) {
  if (gathered_.empty()) return;
  auto batch = std::make_shared<CacheEventBatch>();
  batch->unix_s = unix_s;
  batch->events = std::exchange(gathered_, {});
  keep(std::move(batch));
  MutexLock lock(listener_mutex_);
  if (listener_) listener_();
}

void CacheEvents::listen(std::function<void()> listener) {
  MutexLock lock(listener_mutex_);
  listener_ = std::move(listener);
}

void CacheEvents::keep(std::shared_ptr<CacheEventBatch> batch) {
  MutexLock lock(mutex_);
  batch->sequence = next_++;
  kept_events_ += batch->events.size();
  kept_.push_back(std::move(batch));
  while (kept_events_ > max_kept_ && kept_.size() > 1) {
    kept_events_ -= kept_.front()->events.size();
    kept_.pop_front();
  }
}

std::vector<std::shared_ptr<const CacheEventBatch>> CacheEvents::read(uint64_t sequence,
                                                                      size_t count) const {
  MutexLock lock(mutex_);
  const uint64_t oldest = next_ - kept_.size();
  const uint64_t first = std::clamp(sequence, oldest, next_);
  const size_t n = std::min<size_t>(count, next_ - first);
  const auto from = kept_.begin() + static_cast<ptrdiff_t>(first - oldest);
  return {from, from + static_cast<ptrdiff_t>(n)};
}

uint64_t CacheEvents::next_sequence() const {
  MutexLock lock(mutex_);
  return next_;
}

}  // namespace weir::kv
