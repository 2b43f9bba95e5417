#include "http/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

namespace weir::http {
namespace {

constexpr size_t kMaxControlBytes = 125;

bool is_control(WebSocketOpcode opcode) { return static_cast<uint8_t>(opcode) >= 8; }

// Table 3-7 of the Unicode Standard: the range of the second byte, by the first.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    if (lead < 0xC2 || lead > 0xF4) return false;
    const size_t more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    if (text.size() - i < more) return false;
    unsigned low = 0x80;
    unsigned high = 0xBF;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;  // surrogates
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    for (size_t k = 0; k < more; ++k, low = 0x80, high = 0xBF) {
      const auto next = static_cast<unsigned char>(text[i++]);
      if (next < low || next > high) return false;
    }
  }
  return true;
}

// Section 7.4: what may stand in a close frame.
bool is_close_code(uint16_t code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code <= 4999);
}

// 16 bytes in base64.
bool is_nonce(std::string_view key) {
  if (key.size() != 24 || !key.ends_with("==")) return false;
  return std::all_of(key.begin(), key.end() - 2, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
           c == '/';
  });
}

}  // namespace

bool wants_websocket(const Request& request) {
  return request.method == "GET" && request.headers.has_token("upgrade", "websocket");
}

Result<std::string> websocket_accept(const Request& request) {
  if (request.version != 11)
    return make_error(ErrorCode::kBadRequest, "a WebSocket handshake needs HTTP/1.1");
  if (!request.headers.has_token("connection", "upgrade"))
    return make_error(ErrorCode::kBadRequest, "the handshake lacks Connection: Upgrade");
  if (request.headers.find("sec-websocket-version") != "13")
    return make_error(ErrorCode::kBadRequest, "Sec-WebSocket-Version must be 13");
  const std::string_view key = request.headers.find("sec-websocket-key").value_or("");
  if (!is_nonce(key))
    return make_error(ErrorCode::kBadRequest, "Sec-WebSocket-Key is not 16 bytes in base64");
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::array<unsigned char, 4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1> encoded{};
  const int n = EVP_EncodeBlock(encoded.data(), digest.data(), SHA_DIGEST_LENGTH);
  return std::string(reinterpret_cast<const char*>(encoded.data()), static_cast<size_t>(n));
}

void append_frame(std::string& out, WebSocketOpcode opcode, std::string_view payload) {
  out += static_cast<char>(0x80 | static_cast<uint8_t>(opcode));
  const uint64_t size = payload.size();
  if (size < 126) {
    out += static_cast<char>(size);
  } else {
    const int bytes = size < 65536 ? 2 : 8;
    out += static_cast<char>(bytes == 2 ? 126 : 127);
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
      out += static_cast<char>(size >> shift);
  }
  out += payload;
}

void append_close(std::string& out, WebSocketClose code, std::string_view reason) {
  const auto number = static_cast<uint16_t>(code);
  std::string payload{static_cast<char>(number >> 8), static_cast<char>(number)};
  size_t n = std::min(reason.size(), kMaxControlBytes - 2);
  while (n > 0 && n < reason.size() && (static_cast<unsigned char>(reason[n]) & 0xC0) == 0x80) --n;
  payload += reason.substr(0, n);
  append_frame(out, WebSocketOpcode::kClose, payload);
}

WebSocketParser::Event WebSocketParser::fail(WebSocketClose code, std::string_view reason) {
  failed_ = true;
  message_ = std::string();
  return {Kind::kError, static_cast<uint16_t>(code), std::string(reason)};
}

size_t WebSocketParser::feed(std::string_view bytes, std::optional<Event>& event) {
  event.reset();
  size_t used = 0;
  while (!event && !failed_) {
    if (!in_payload_ && !take_head(bytes, used, event)) break;
    std::string& to = is_control(opcode_) ? control_ : message_;
    const auto n = static_cast<size_t>(
        std::min<uint64_t>(payload_bytes_ - payload_seen_, bytes.size() - used));
    for (size_t i = 0; i < n; ++i)
      to += static_cast<char>(bytes[used + i] ^ static_cast<char>(mask_[(payload_seen_ + i) % 4]));
    used += n;
    payload_seen_ += n;
    if (payload_seen_ < payload_bytes_) break;
    event = end_frame();
  }
  return used;
}

// True once the head is whole and the payload begins.
bool WebSocketParser::take_head(std::string_view bytes, size_t& used, std::optional<Event>& event) {
  while (used < bytes.size()) {
    head_ += bytes[used++];
    if (head_.size() < 2) continue;
    if (head_.size() == 2 && (event = check_kind())) {
      failed_ = true;
      return false;
    }
    const uint8_t length = static_cast<uint8_t>(head_[1]) & 0x7F;
    const size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (head_.size() < 2 + extended + 4) continue;
    event = check_head();
    return !event;
  }
  return false;
}

// What the first two bytes say.
std::optional<WebSocketParser::Event> WebSocketParser::check_kind() const {
  const auto error = [](WebSocketClose code, std::string_view reason) {
    return Event{Kind::kError, static_cast<uint16_t>(code), std::string(reason)};
  };
  const auto first = static_cast<uint8_t>(head_[0]);
  const auto second = static_cast<uint8_t>(head_[1]);
  const bool fin = (first & 0x80) != 0;
  const uint8_t opcode = first & 0x0F;
  if ((first & 0x70) != 0)
    return error(WebSocketClose::kProtocol, "reserved bits without an extension");
  if ((opcode > 2 && opcode < 8) || opcode > 10)
    return error(WebSocketClose::kProtocol, "an unknown opcode");
  if ((second & 0x80) == 0)
    return error(WebSocketClose::kProtocol, "a client frame without a mask");
  if (opcode >= 8 && (!fin || (second & 0x7F) > kMaxControlBytes))
    return error(WebSocketClose::kProtocol, "a control frame that is long or in fragments");
  if (opcode == 2) return error(WebSocketClose::kBinary, "messages are text: JSON");
  if (opcode == 0 && !in_message_)
    return error(WebSocketClose::kProtocol, "a continuation of nothing");
  if (opcode == 1 && in_message_)
    return error(WebSocketClose::kProtocol, "a new message inside another one");
  return std::nullopt;
}

std::optional<WebSocketParser::Event> WebSocketParser::check_head() {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(head_[i]); };
  fin_ = (byte(0) & 0x80) != 0;
  opcode_ = static_cast<WebSocketOpcode>(byte(0) & 0x0F);
  const size_t mask_at = head_.size() - 4;
  payload_bytes_ = byte(1) & 0x7F;
  if (mask_at > 2) {
    const uint64_t least = mask_at == 4 ? 126 : 65536;
    payload_bytes_ = 0;
    for (size_t i = 2; i < mask_at; ++i) payload_bytes_ = (payload_bytes_ << 8) | byte(i);
    if (payload_bytes_ < least || (payload_bytes_ >> 63) != 0)
      return fail(WebSocketClose::kProtocol, "a length that is not in its shortest form");
  }
  for (size_t i = 0; i < 4; ++i) mask_[i] = byte(mask_at + i);
  if (!is_control(opcode_) && payload_bytes_ > max_message_bytes_ - message_.size())
    return fail(WebSocketClose::kTooBig, "the message is too big");
  if (!is_control(opcode_)) in_message_ = true;
  head_.clear();
  payload_seen_ = 0;
  in_payload_ = true;
  return std::nullopt;
}

std::optional<WebSocketParser::Event> WebSocketParser::end_frame() {
  in_payload_ = false;
  if (is_control(opcode_)) {
    Event event{Kind::kPong, 0, std::move(control_)};
    control_.clear();
    if (opcode_ == WebSocketOpcode::kPing) event.kind = Kind::kPing;
    if (opcode_ != WebSocketOpcode::kClose) return event;
    control_ = std::move(event.data);
    return end_close();
  }
  if (!fin_) return std::nullopt;
  in_message_ = false;
  if (!is_utf8(message_)) return fail(WebSocketClose::kBadUtf8, "a message that is not UTF-8");
  Event event{Kind::kText, 0, std::move(message_)};
  message_ = std::string();
  return event;
}

WebSocketParser::Event WebSocketParser::end_close() {
  if (control_.empty()) {
    failed_ = true;
    return {Kind::kClose, 1005, {}};
  }
  if (control_.size() == 1) return fail(WebSocketClose::kProtocol, "half a close code");
  const auto code = static_cast<uint16_t>((static_cast<uint8_t>(control_[0]) << 8) |
                                          static_cast<uint8_t>(control_[1]));
  if (!is_close_code(code)) return fail(WebSocketClose::kProtocol, "a close code that is none");
  if (!is_utf8(std::string_view(control_).substr(2)))
    return fail(WebSocketClose::kBadUtf8, "a reason that is not UTF-8");
  failed_ = true;
  return {Kind::kClose, code, control_.substr(2)};
}

}  // namespace weir::http
