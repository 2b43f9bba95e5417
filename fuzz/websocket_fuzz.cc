// Frames of a WebSocket client, in pieces of any size: the parser makes progress, keeps its bound,
// and says the same however the bytes are cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "http/websocket.h"

namespace {

constexpr size_t kMaxMessage = 4096;

std::string run(std::string_view bytes, size_t step) {
  using Kind = weir::http::WebSocketParser::Kind;
  weir::http::WebSocketParser parser(kMaxMessage);
  std::string events;
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    while (!piece.empty()) {
      std::optional<weir::http::WebSocketParser::Event> event;
      const size_t used = parser.feed(piece, event);
      if (used == 0 && !event) std::abort();  // no progress
      if (parser.buffered_bytes() > kMaxMessage) std::abort();
      piece.remove_prefix(used);
      if (!event) continue;
      events += std::to_string(static_cast<int>(event->kind)) + ":" + std::to_string(event->code) +
                ":" + event->data + ";";
      if (event->kind == Kind::kError || event->kind == Kind::kClose) return events;
    }
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (run(bytes, 1 + data[0]) != run(bytes, size)) std::abort();
  return 0;
}
