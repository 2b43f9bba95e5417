// What has been asked for a client and has no whole answer yet: a call to the fleet, or the steps
// of a cascade. Tells the AnswerSink that it was made with. On the proxy's thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::gateway {

// CallEnd::how where the client has left.
inline constexpr std::string_view kEndClientGone = "client_gone";

class Asking {
 public:
  Asking() = default;
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  virtual ~Asking() = default;

  // Asks. The sink may be told of the end before this returns.
  virtual void begin() = 0;
  // Nobody wants the answer any more. Nothing more is told to the sink but its end.
  // how and error_code: for its CallEnd, of static storage.
  virtual void cancel(std::string_view how = kEndClientGone, std::string_view error_code = "") = 0;
  // The sink has room again.
  virtual void resume() = 0;
  // Of a stream's answer so far, counted in deltas; 0 where it is whole before it is told.
  virtual int64_t streamed_tokens() const { return 0; }
  // The upstream whose stream that is; "": nobody's yet.
  virtual std::string_view streaming_from() const { return ""; }
};

}  // namespace weir::gateway
