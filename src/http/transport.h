// The byte stream under a connection; the seam where TLS and an upgraded WebSocket come in.
// Internal to http/.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace weir::http {

// All calls and completions on the I/O thread. At most one read and one write at a time. The
// transport must live until their completions have run: whoever starts an operation keeps its owner
// alive in the completion.
class Transport {
 public:
  // error is set, or bytes > 0.
  using Completion = std::function<void(std::error_code error, size_t bytes)>;
  virtual ~Transport() = default;
  // Reads at least one byte; end of stream is an error.
  virtual void read_some(std::span<char> buffer, Completion done) = 0;
  // Writes at least one byte of data, which stays alive until done.
  virtual void write_some(std::string_view data, Completion done) = 0;
  // Writes what the socket takes at once, and says how much; 0: nothing, or it went wrong, which
  // write_some() will tell. Not while a write is going on.
  virtual size_t try_write(std::string_view) { return 0; }
  // No more writes: the peer sees the end of the stream after what was written.
  virtual void shutdown_send() = 0;
  // Cancels what is going on and closes. May be called twice.
  virtual void close() = 0;
  // "127.0.0.1:51234"
  virtual std::string remote() const = 0;
  // What went wrong, for a user, where there is more to say than the error; else empty.
  virtual std::string problem() const { return {}; }
};

}  // namespace weir::http
