// The reader of server-sent events: how bytes arrive does not change the events.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/sse_reader.h"

namespace {

std::string read(std::string_view bytes, size_t step) {
  constexpr size_t kEventBytes = 512;
  weir::http::SseReader reader(kEventBytes);
  std::string out;
  while (!bytes.empty()) {
    const auto ok = reader.feed(bytes.substr(0, step), [&](const weir::http::SseEvent& e) {
      if (e.data.size() > kEventBytes) std::abort();
      out.append(e.name).append("\x01").append(e.id).append("\x01").append(e.data).append("\x02");
    });
    if (!ok.ok()) return out + "limit";
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (read(bytes, 1 + data[0]) != read(bytes, 1)) std::abort();
  return 0;
}
