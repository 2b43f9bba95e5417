#include "http/begin_line.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace weir::http {

void BeginLine::add(std::function<void()> begin) {
  waiting_.push_back(std::move(begin));
  if (!posted_) post_turn();
}

// Behind everything that is ready, and behind one more look at the sockets.
void BeginLine::post_turn() {
  posted_ = true;
  posted_ns_ = clock_.now_ns();
  boost::asio::post(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->take_turn();
  });
}

void BeginLine::take_turn() {
  posted_ = false;
  const int64_t now_ns = clock_.now_ns();
  const int64_t end_ns = now_ns + std::max(kTurn_ns, (now_ns - posted_ns_) / 2);
  while (!waiting_.empty()) {
    const std::function<void()> begin = std::move(waiting_.front());
    waiting_.pop_front();
    try {
      begin();
    } catch (...) {  // the others are not to pay for it
      if (!waiting_.empty() && !posted_) post_turn();
      throw;
    }
    if (clock_.now_ns() >= end_ns) break;
  }
  if (!waiting_.empty() && !posted_) post_turn();
}

}  // namespace weir::http
