// Requests that are whole while answers are being streamed wait here for a turn, so that a burst of
// them does not hold up the next token of anybody. Internal to http/, on the I/O thread.
//
// Whoever handles a request may take 100 us for it: 500 that come at once would keep every open
// stream waiting for 50 ms. In this line kTurn_ns of them are begun, then whatever else is ready
// has its turn, and so on; where that takes long, since there is more to do than the thread can, a
// turn is half as long, so that requests get a third of it and no request waits for ever. Without
// an open stream nobody would be held up: then there is no line.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "base/clock.h"

namespace weir::http {

// Shared with the turns that are posted, weakly: it may end before them.
class BeginLine : public std::enable_shared_from_this<BeginLine> {
 public:
  static constexpr int64_t kTurn_ns = 200'000;

  // clock outlives it.
  BeginLine(boost::asio::any_io_executor executor, const Clock& clock)
      : executor_(std::move(executor)), clock_(clock) {}

  // Of the answers that are being streamed.
  void stream_begun() { ++streams_; }
  void stream_ended() { --streams_; }
  // Whether a request may be begun without the line.
  bool at_once() const { return streams_ == 0 && waiting_.empty(); }
  // Runs begin when it is its turn, in the order of the calls.
  void add(std::function<void()> begin);

 private:
  void post_turn();
  void take_turn();

  boost::asio::any_io_executor executor_;
  const Clock& clock_;
  size_t streams_ = 0;
  bool posted_ = false;  // a turn is
  int64_t posted_ns_ = 0;
  std::deque<std::function<void()>> waiting_;
};

}  // namespace weir::http
