// What has been asked for a client and has no whole answer yet: a call to the fleet, or the steps
// of a cascade. Tells the AnswerSink that it was made with. On the proxy's thread.
#pragma once

namespace weir::gateway {

class Asking {
 public:
  Asking() = default;
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  virtual ~Asking() = default;

  // Asks. The sink may be told of the end before this returns.
  virtual void begin() = 0;
  // Nobody wants the answer any more. Nothing more is told to the sink but its end.
  virtual void cancel() = 0;
  // The sink has room again.
  virtual void resume() = 0;
};

}  // namespace weir::gateway
