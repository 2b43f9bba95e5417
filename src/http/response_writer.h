// The answer to one request. Made by the server, moved into the handler, kept wherever the answer
// is produced.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"

namespace weir::http {

class Exchange;

enum class CloseReason {
  kPeerClosed,    // the client closed or half-closed its end, or reset
  kWriteTimeout,  // the client took no byte for write_timeout
  kSlowReader,    // more than 4 * write_buffer_bytes waited to be sent
  kAborted,       // abort(), or a stream's writer was destroyed before finish()
  kServerStopped,
};
std::string_view close_reason_name(CloseReason reason);

// What whoever answers knows of a request and the connection does not; for the log.
struct AnswerNotes {
  std::string route;       // the pattern that matched
  std::string tenant;      // "" without a key
  std::string error_code;  // of the error body; also of an error event after a 200
  // Of a gateway: the model by its alias, and who gave the answer; "": not known, nobody.
  std::string model, upstream;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t completion_tokens = 0;
};

enum class WriteStatus {
  kOk,
  kSlow,    // accepted, but write_buffer_bytes are waiting: pause until on_writable, or cancel
  kClosed,  // dropped: the connection is gone or the response was finished
};

// Any thread; calls on one writer must not overlap. Calls never block and never fail loudly: after
// the peer is gone they do nothing. Writes between two wake-ups of the I/O thread travel as one
// post and one write.
class ResponseWriter {
 public:
  explicit ResponseWriter(
      std::shared_ptr<Exchange> exchange);  // by the server; shared with its connection
  ~ResponseWriter();                        // no answer yet: 500. Stream not finished: abort()
  ResponseWriter(ResponseWriter&&) noexcept;
  ResponseWriter& operator=(ResponseWriter&&) noexcept;

  // The whole answer. A second answer is ignored. The body is dropped for HEAD, 204 and 304.
  WriteStatus send(Response response);

  // Or: a head now, then any number of pieces, then finish(). Sent in chunks (HTTP/1.1) or up to
  // close (HTTP/1.0).
  WriteStatus begin_stream(int status, Headers headers);
  WriteStatus write(std::string_view data);
  // On the server's I/O thread only: as write(), but what is there goes to the socket before this
  // returns, and not after everything else that the thread has to do; unless there was something in
  // the last 0.2 ms. on_writable's callback may
  // run within it.
  WriteStatus write_now(std::string_view data);
  WriteStatus finish();
  // Ends without a proper end, so that the client sees that something is missing.
  void abort();

  // Instead of beginning a stream at once: the head to begin it with should keep-alive data come
  // due first. Until then the answer may still be anything, an error with its status included.
  void hold_head(int status, Headers headers);
  // While the stream is open, or its head is held, and nothing was written for `interval`, sends
  // `data` (": keep-alive\n\n").
  void keep_alive(std::chrono::milliseconds interval, std::string data);

  // Called once on the I/O thread when the response can no longer be delivered; never after
  // finish() or send() was delivered. If that has already happened: called at once, on the calling
  // thread.
  void on_closed(std::function<void(CloseReason)> callback);
  // Called on the I/O thread each time the buffer falls below half of write_buffer_bytes after a
  // kSlow.
  void on_writable(std::function<void()> callback);

  // Changes the notes of this request, which the server's observer gets when it is over; any time
  // before finish() or send().
  void note(const std::function<void(AnswerNotes&)>& change);
  // Fields for the head, in place of such that it has; call before send() or begin_stream(), a
  // second call replaces the first.
  void set_headers(Headers headers);
  // Kept until the answer is complete, or cannot be delivered any more: released before its last
  // bytes are handed over.
  void hold(std::shared_ptr<void> place);

  // Bytes handed over and not yet taken by the socket.
  size_t buffered_bytes() const;
  bool closed() const;
  bool started() const;  // send or begin_stream was called
  const std::string& request_id() const;

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace weir::http
