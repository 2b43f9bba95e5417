// The sink of a question that the gateway asks itself: holds a whole answer, drops a stream, and
// says at the end what came. On the proxy's thread.
#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include "gateway/answer_sink.h"

namespace weir::gateway {

class WholeSink final : public AnswerSink {
 public:
  using Done = std::function<void(http::Response, CallEnd)>;
  // done: once, with an answer of status 0 when none came or it came as a stream.
  explicit WholeSink(Done done) : done_(std::move(done)) { answer_.status = 0; }

  void answer(http::Response response) override { answer_ = std::move(response); }
  void begin_stream(http::Headers /*headers*/) override {}
  bool piece(std::string_view /*events*/) override { return true; }
  void ended(CallEnd end) override {
    std::exchange(done_, nullptr)(std::move(answer_), std::move(end));
  }

 private:
  Done done_;
  http::Response answer_;
};

}  // namespace weir::gateway
