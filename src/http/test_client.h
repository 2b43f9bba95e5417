// A blocking HTTP/1.1 client over a raw socket, for tests only: it sends exactly the bytes it is
// told to.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace weir::http {

class TestClient {
 public:
  // Connects to 127.0.0.1:port; connected() says whether that worked. receive_buffer_bytes > 0 sets
  // SO_RCVBUF.
  explicit TestClient(uint16_t port, int receive_buffer_bytes = 0);
  ~TestClient();
  TestClient(TestClient&& other) noexcept;
  TestClient& operator=(TestClient&& other) noexcept;

  bool connected() const { return fd_ >= 0; }
  // False when the peer has closed.
  bool send(std::string_view bytes);
  void shutdown_send();
  void close();
  // Closes with a reset instead of an orderly end.
  void reset();

  // What arrives next, at most `max` bytes; "" at the end of the stream or after timeout.
  std::string receive(size_t max = 65536);
  // Everything up to the end of the stream.
  std::string receive_all();
  // True once the peer has closed its end; reads and drops what comes before.
  bool wait_closed();
  void set_timeout(std::chrono::milliseconds timeout);

  // Reads one whole response (Content-Length, chunked, or up to the end); nullopt if the stream
  // ends before it does. without_body: the answer to HEAD.
  std::optional<Response> read_response(bool without_body = false);
  // The head only; the body is then read with read_chunk or receive.
  std::optional<Response> read_head();
  // One chunk; "" for the last, nullopt at a broken stream.
  std::optional<std::string> read_chunk();
  // Exactly that many bytes; nullopt if the stream ends before.
  std::optional<std::string> read_exactly(size_t bytes);
  // send + read_response.
  std::optional<Response> exchange(std::string_view request);

 private:
  bool fill();
  std::optional<std::string> read_line();

  int fd_ = -1;
  std::string buffer_;
};

}  // namespace weir::http
