#include "http/exchange.h"

#include <utility>

namespace weir::http {
namespace {

// Above this many times the soft limit a stream is cut: its writer has ignored kSlow.
constexpr size_t kHardLimitFactor = 4;

// The I/O thread goes on whatever a callback of the caller does.
template <typename Callback, typename... Args>
void run_callback(const Callback& callback, Args... args) {
  try {
    callback(args...);
  } catch (...) {  // a callback has nobody to report to
  }
}

}  // namespace

Exchange::Exchange(std::string request_id, size_t buffer_limit, std::function<void()> wake,
                   std::weak_ptr<Taker> taker)
    : request_id_(std::move(request_id)),
      buffer_limit_(buffer_limit),
      taker_(std::move(taker)),
      wake_(std::move(wake)) {}

WriteStatus Exchange::status() const {
  if (closed_.has_value() || !wake_) return WriteStatus::kClosed;
  return slow_ ? WriteStatus::kSlow : WriteStatus::kOk;
}

void Exchange::wake() {
  if (woken_ || !wake_) return;
  woken_ = true;
  wake_();
}

void Exchange::set_headers(Headers headers) {
  MutexLock lock(mutex_);
  headers_ = std::move(headers);
}

void Exchange::hold(std::shared_ptr<void> place) {
  MutexLock lock(mutex_);
  held_ = std::move(place);
}

// Before the last bytes are handed over, so that a client that has its answer finds the place free.
void Exchange::release() {
  std::shared_ptr<void> place;  // destroyed outside of the lock
  MutexLock lock(mutex_);
  place.swap(held_);
}

WriteStatus Exchange::send(Response response) {
  release();
  MutexLock lock(mutex_);
  if (started_ || closed_.has_value() || !wake_) return WriteStatus::kClosed;
  started_ = finished_ = true;
  outbox_.head = std::move(response);
  outbox_.finished = true;
  wake();
  return WriteStatus::kOk;
}

WriteStatus Exchange::begin_stream(int status_code, Headers headers) {
  MutexLock lock(mutex_);
  if (started_ || closed_.has_value() || !wake_) return WriteStatus::kClosed;
  started_ = streaming_ = true;
  outbox_.head = Response{status_code, std::move(headers), {}};
  outbox_.stream = true;
  wake();
  return WriteStatus::kOk;
}

bool Exchange::put(std::string_view data) {
  if (!streaming_ || finished_ || status() == WriteStatus::kClosed) return false;
  const size_t buffered = outbox_.data.size() + unsent_ + data.size();
  if (buffered > kHardLimitFactor * buffer_limit_) {
    finished_ = true;
    outbox_.data.clear();
    outbox_.abort = CloseReason::kSlowReader;
    wake();
    return false;
  }
  outbox_.data += data;
  if (buffered > buffer_limit_) slow_ = true;
  return true;
}

WriteStatus Exchange::write(std::string_view data) {
  MutexLock lock(mutex_);
  if (!put(data)) return WriteStatus::kClosed;
  if (!data.empty()) wake();
  return status();
}

WriteStatus Exchange::write_now(std::string_view data) {
  const auto taker = taker_.lock();
  if (taker == nullptr) return write(data);
  {
    MutexLock lock(mutex_);
    if (!put(data)) return WriteStatus::kClosed;
  }
  const bool taken = taker->take_now();
  MutexLock lock(mutex_);
  if (!taken) wake();
  return status();  // it may be writable again, or closed
}

WriteStatus Exchange::finish() {
  release();
  MutexLock lock(mutex_);
  if (!streaming_ || finished_ || status() == WriteStatus::kClosed) return WriteStatus::kClosed;
  finished_ = true;
  outbox_.finished = true;
  wake();
  return WriteStatus::kOk;
}

void Exchange::abort() {
  release();
  MutexLock lock(mutex_);
  if (finished_ || closed_.has_value() || !wake_) return;
  finished_ = true;
  outbox_.abort = CloseReason::kAborted;
  wake();
}

void Exchange::drop() {
  release();
  {
    MutexLock lock(mutex_);
    if (!started_ && !closed_.has_value() && wake_) {
      // The connection turns a finished outbox without a head into its own 500.
      started_ = finished_ = true;
      outbox_.finished = true;
      wake();
      return;
    }
  }
  abort();
}

void Exchange::keep_alive(std::chrono::milliseconds interval, std::string data) {
  MutexLock lock(mutex_);
  if (finished_ || closed_.has_value() || !wake_) return;
  outbox_.keep_alive = {interval, std::move(data)};
  wake();
}

void Exchange::hold_head(int status_code, Headers headers) {
  MutexLock lock(mutex_);
  if (!started_) held_head_ = Response{status_code, std::move(headers), {}};
}

void Exchange::open_held_stream(std::string_view data) {
  MutexLock lock(mutex_);
  if (started_ || closed_.has_value() || !wake_ || !held_head_.has_value()) return;
  started_ = streaming_ = true;
  outbox_.head = std::move(held_head_);
  held_head_.reset();
  outbox_.stream = true;
  outbox_.data += data;
  wake();
}

void Exchange::on_closed(std::function<void(CloseReason)> callback) {
  CloseReason reason;
  {
    MutexLock lock(mutex_);
    if (!closed_.has_value()) {
      if (wake_) closed_callback_ = std::move(callback);
      return;
    }
    reason = *closed_;
  }
  callback(reason);
}

void Exchange::on_writable(std::function<void()> callback) {
  MutexLock lock(mutex_);
  if (wake_) writable_callback_ = std::move(callback);
}

void Exchange::note(const std::function<void(AnswerNotes&)>& change) {
  MutexLock lock(mutex_);
  change(notes_);
}

AnswerNotes Exchange::notes() const {
  MutexLock lock(mutex_);
  return notes_;
}

size_t Exchange::buffered_bytes() const {
  MutexLock lock(mutex_);
  return outbox_.data.size() + unsent_;
}

bool Exchange::closed() const {
  MutexLock lock(mutex_);
  return closed_.has_value();
}

bool Exchange::started() const {
  MutexLock lock(mutex_);
  return started_;
}

bool Exchange::finished() const {
  MutexLock lock(mutex_);
  return finished_;
}

Exchange::Outbox Exchange::take() {
  MutexLock lock(mutex_);
  woken_ = false;
  unsent_ += outbox_.data.size();
  if (outbox_.head.has_value()) {
    for (const Headers::Field& f : headers_.all()) outbox_.head->headers.set(f.name, f.value);
  }
  return std::exchange(outbox_, Outbox{});
}

void Exchange::set_unsent(size_t bytes) {
  std::function<void()> callback;
  {
    MutexLock lock(mutex_);
    unsent_ = bytes;
    if (!slow_ || outbox_.data.size() + unsent_ >= buffer_limit_ / 2) return;
    slow_ = false;
    callback = writable_callback_;
  }
  if (callback) run_callback(callback);
}

void Exchange::complete() {
  std::function<void(CloseReason)>
      closed_callback;  // destroyed outside of the lock: they may own the writer
  std::function<void()> writable_callback;
  std::function<void()> wake;
  MutexLock lock(mutex_);
  unsent_ = 0;
  closed_callback.swap(closed_callback_);
  writable_callback.swap(writable_callback_);
  wake.swap(wake_);
}

void Exchange::fail(CloseReason reason) {
  release();
  std::function<void(CloseReason)> closed_callback;
  std::function<void()> writable_callback;
  std::function<void()> wake;
  {
    MutexLock lock(mutex_);
    if (closed_.has_value()) return;
    closed_ = reason;
    unsent_ = 0;
    outbox_ = Outbox{};
    closed_callback.swap(closed_callback_);
    writable_callback.swap(writable_callback_);
    wake.swap(wake_);
  }
  if (closed_callback) run_callback(closed_callback, reason);
}

}  // namespace weir::http
