// A WebSocket client over a raw socket that sends exactly the frames it is told to. Tests only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/test_client.h"

namespace weir::http {

// A client's frame; mask and lengths as the RFC wants them, first byte as given (0x81: whole text).
inline std::string client_frame(int first, std::string_view payload, bool masked = true) {
  std::string out(1, static_cast<char>(first));
  const size_t n = payload.size();
  const int bit = masked ? 0x80 : 0;
  if (n < 126) {
    out += static_cast<char>(bit | static_cast<int>(n));
  } else {
    const int bytes = n < 65536 ? 2 : 8;
    out += static_cast<char>(bit | (bytes == 2 ? 126 : 127));
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(n >> shift);
  }
  const char mask[4] = {0x11, 0x22, 0x33, 0x44};
  if (masked) out.append(mask, 4);
  for (size_t i = 0; i < n; ++i)
    out += masked ? static_cast<char>(payload[i] ^ mask[i % 4]) : payload[i];
  return out;
}
inline std::string text_frame(std::string_view text) { return client_frame(0x81, text); }
inline std::string close_frame(int code, std::string_view reason = "") {
  return client_frame(0x88, std::string{static_cast<char>(code >> 8), static_cast<char>(code)} +
                                std::string(reason));
}

inline std::string handshake(const std::string& path, const std::string& fields = "") {
  return "GET " + path +
         " HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
         fields + "\r\n";
}

class WebSocketClient {
 public:
  struct Frame {
    int opcode = 0;
    std::string payload;
    int close_code() const {
      return payload.size() < 2 ? 0
                                : (static_cast<unsigned char>(payload[0]) << 8) |
                                      static_cast<unsigned char>(payload[1]);
    }
  };

  // Connects and shakes hands; open() says whether the answer was 101.
  WebSocketClient(uint16_t port, const std::string& path, const std::string& fields = "",
                  int receive_buffer_bytes = 0)
      : client_(port, receive_buffer_bytes) {
    client_.send(handshake(path, fields));
    head_ = client_.read_head();
  }
  bool open() const { return head_.has_value() && head_->status == 101; }
  const std::optional<Response>& head() const { return head_; }
  TestClient& raw() { return client_; }
  bool send(std::string_view bytes) { return client_.send(bytes); }

  // nullopt at the end of the stream.
  std::optional<Frame> read_frame() {
    const auto head = client_.read_exactly(2);
    if (!head) return std::nullopt;
    Frame frame{static_cast<unsigned char>((*head)[0]) & 0x0F, {}};
    size_t size = static_cast<unsigned char>((*head)[1]) & 0x7F;
    if (size > 125) {
      const auto more = client_.read_exactly(size == 126 ? 2 : 8);
      if (!more) return std::nullopt;
      size = 0;
      for (const char c : *more) size = (size << 8) | static_cast<unsigned char>(c);
    }
    auto payload = client_.read_exactly(size);
    if (!payload) return std::nullopt;
    frame.payload = std::move(*payload);
    return frame;
  }
  // The next text message; pings are skipped. "closed CODE" at a close, "" at the end.
  std::string read_text() {
    while (auto frame = read_frame()) {
      if (frame->opcode == 1) return frame->payload;
      if (frame->opcode == 8) return "closed " + std::to_string(frame->close_code());
    }
    return {};
  }
  // The code of the close that comes, whatever comes before; 0: none came.
  int read_close() {
    while (auto frame = read_frame()) {
      if (frame->opcode == 8) return frame->close_code();
    }
    return 0;
  }

 private:
  TestClient client_;
  std::optional<Response> head_;
};

}  // namespace weir::http
