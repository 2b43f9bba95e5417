#include "gateway/translate/stream_observer.h"

#include "text/utf8.h"

namespace weir::gateway {

void StreamObserver::start(std::string_view id, std::string_view model) {
  id_ = id;
  model_ = model;
}

void StreamObserver::text(std::string_view delta) {
  if (delta.empty()) return;
  ++deltas_;
  if (cut_) return;
  const size_t room = max_text_bytes_ - text_.size();
  cut_ = delta.size() > room;
  text_ += cut_ ? text::cut_utf8(delta, room) : delta;
}

void StreamObserver::thinking(std::string_view delta) {
  if (delta.empty()) return;
  ++deltas_;
  thought_ = true;
}

void StreamObserver::tool_start(size_t, std::string_view, std::string_view) {
  called_tools_ = true;
}

void StreamObserver::tool_arguments(size_t, std::string_view) { ++deltas_; }

void StreamObserver::usage(const TokenUsage& usage) { usage_ = usage; }

void StreamObserver::finish(FinishReason reason, std::string_view) { finish_ = reason; }

}  // namespace weir::gateway
