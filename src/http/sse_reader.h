// Reads a stream of server-sent events, WHATWG HTML section 9.2.6: bytes in, events out, no I/O.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::http {

// The views live until the sink returns.
struct SseEvent {
  std::string_view name;  // "" when the event has none, which means "message"
  std::string_view data;  // its lines joined by LF
  std::string_view id;    // the last one seen
};

class SseReader {
 public:
  using Sink = std::function<void(const SseEvent& event)>;
  // event_bytes bounds the data of one event and the length of a line.
  explicit SseReader(size_t event_bytes = 1024 * 1024) : event_bytes_(event_bytes) {}

  // Calls sink for each event that is whole; comments and fields of other names are skipped, as is
  // an event that the stream leaves unfinished. Bytes are not checked to be UTF-8. Error: kLimit;
  // nothing more may be fed then.
  Status feed(std::string_view bytes, const Sink& sink);

 private:
  void on_line(std::string_view line, const Sink& sink);

  size_t event_bytes_;
  std::string line_;  // the part of a line that came before
  bool after_cr_ = false;
  bool first_line_ = true;
  bool has_data_ = false;
  std::string name_;
  std::string data_;
  std::string id_;
};

}  // namespace weir::http
