// Collects an answer of OpenAI's kinds for the cache, in whichever form it comes. One thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/cache/replay.h"
#include "http/message.h"
#include "http/sse_reader.h"

namespace weir::gateway {

class AnswerRecorder {
 public:
  // max_bytes: of a whole answer, or of a stream's events; of more nothing is kept.
  explicit AnswerRecorder(size_t max_bytes) : max_bytes_(max_bytes), stream_(max_bytes) {}

  void answer(const http::Response& response);
  void begin_stream(const http::Headers& head) { note(head); }
  void piece(std::string_view events);
  // The whole answer as JSON. Nothing: it was an error, was cut, too big, or is of a kind that
  // cannot be put together.
  std::optional<std::string> finish();
  // The upstream was asked without the client's temperature, by x-weir-altered: it has drawn the
  // answer by one of its own, and the next would differ.
  bool lost_temperature() const { return lost_temperature_; }
  // x-weir-cascade of it; "": no cascade's.
  const std::string& cascade() const { return cascade_; }

 private:
  void note(const http::Headers& head);

  const size_t max_bytes_;
  std::optional<std::string> whole_;
  StreamAssembler stream_;
  http::SseReader reader_;
  std::string cascade_;
  bool lost_temperature_ = false;
  bool streams_ = false;
  bool failed_ = false;
};

}  // namespace weir::gateway
