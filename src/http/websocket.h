// RFC 6455: the handshake, and frames as bytes. No I/O. Internal to http/.
//
// Strict by choice: what the RFC lets a server refuse is refused. No extension is negotiated, so
// reserved bits are an error; binary messages are not understood.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace weir::http {

// Section 7.4.1; the ones that this server sends.
enum class WebSocketClose : uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,   // shutting down
  kProtocol = 1002,    // a frame that breaks the RFC
  kBinary = 1003,      // a binary message
  kBadUtf8 = 1007,     // a text message, or the reason of a close, that is not UTF-8
  kPolicy = 1008,      // no key, a foreign Origin, a message that took too long
  kTooBig = 1009,      // a message over the bound
  kInternal = 1011,    // this server failed
  kOverloaded = 1013,  // try again later
};

// Whether a request asks for an upgrade to WebSocket, well or badly.
bool wants_websocket(const Request& request);
// The Sec-WebSocket-Accept of a handshake. Error kBadRequest that names the header.
Result<std::string> websocket_accept(const Request& request);

enum class WebSocketOpcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

// Appends one whole, unmasked frame, as servers send them.
void append_frame(std::string& out, WebSocketOpcode opcode, std::string_view payload);
// The same for a close; the reason is cut to what a control frame holds.
void append_close(std::string& out, WebSocketClose code, std::string_view reason);

// Client frames in, events out; bytes may come in pieces of any size.
class WebSocketParser {
 public:
  enum class Kind {
    kText,   // a whole message in data: UTF-8
    kPing,   // answer with a pong of the same data
    kPong,   // of no consequence
    kClose,  // the client closes with code (1005: it gave none)
    kError,  // close with code; data is the reason. Nothing is taken from now on
  };
  struct Event {
    Kind kind;
    uint16_t code = 0;
    std::string data;
  };

  // A message of more bytes is an error (1009), before it is read.
  explicit WebSocketParser(size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

  // Takes bytes up to the end of the next event and returns how many it took.
  size_t feed(std::string_view bytes, std::optional<Event>& event);

  // Bytes of the message that has begun and is not whole; in_message() is true of an empty one too.
  size_t buffered_bytes() const { return message_.size(); }
  bool in_message() const { return in_message_ || !head_.empty(); }

 private:
  bool take_head(std::string_view bytes, size_t& used, std::optional<Event>& event);
  std::optional<Event> check_head();
  std::optional<Event> check_kind() const;
  std::optional<Event> end_frame();
  Event end_close();
  Event fail(WebSocketClose code, std::string_view reason);

  size_t max_message_bytes_;
  bool failed_ = false;
  std::string head_;  // of the frame, as far as it is there; empty between frames
  bool in_payload_ = false;
  WebSocketOpcode opcode_ = WebSocketOpcode::kText;
  bool fin_ = false;
  uint8_t mask_[4] = {};
  uint64_t payload_bytes_ = 0;
  uint64_t payload_seen_ = 0;
  std::string message_;  // text so far, over its fragments
  std::string control_;  // payload of a control frame, which may stand between fragments
  bool in_message_ = false;
};

}  // namespace weir::http
