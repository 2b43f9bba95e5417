// What telemetry reads or writes of outside bytes: a traceparent header, an endpoint, a text to
// scrub, and strings in JSON.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/post.h"
#include "telemetry/json_writer.h"
#include "telemetry/scrubber.h"
#include "telemetry/span.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto c = weir::telemetry::parse_traceparent(text); c.has_value()) {
    // What is written is read again as the same.
    if (weir::telemetry::parse_traceparent(weir::telemetry::format_traceparent(*c)) != c)
      std::abort();
  }
  (void)weir::http::parse_endpoint(text, "4318");
  static const auto scrubber = weir::telemetry::Scrubber::make({"[a-z]+\\d{3,}"});
  (void)scrubber->scrub(text);
  std::string json;
  weir::telemetry::append_json_string(json, text);
  for (const char c : json) {
    if (static_cast<unsigned char>(c) < 0x20) std::abort();
  }
  return 0;
}
