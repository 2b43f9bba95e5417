#include "gateway/translate/stream_observer.h"

#include <algorithm>

#include "text/utf8.h"

namespace weir::gateway {

void StreamObserver::resume() {
  if (!resumed_) first_usage_ = usage_;
  resumed_ = true;
  deltas_before_ = deltas_;
  text_before_ = text_.size();
  usage_ = {};
}

TokenUsage StreamObserver::total_usage() const {
  if (!resumed_ || !usage_.known) return usage_;
  TokenUsage total = usage_;
  // The present upstream's prompt is the client's and the text so far: what the first one counted
  // tells the two apart, else a delta counts as a token.
  int64_t before = deltas_before_;
  if (first_usage_.known)
    before = std::max(before, total.prompt_tokens - first_usage_.prompt_tokens);
  total.completion_tokens += before;
  total.prompt_tokens = first_usage_.known ? first_usage_.prompt_tokens
                                           : std::max<int64_t>(total.prompt_tokens - before, 0);
  total.cached_tokens = std::min(total.cached_tokens, total.prompt_tokens);
  total.cache_write_tokens =
      std::min(total.cache_write_tokens, total.prompt_tokens - total.cached_tokens);
  return total;
}

void StreamObserver::start(std::string_view id, std::string_view model) {
  if (resumed_ && !id_.empty()) return;  // the client has those of the first
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
