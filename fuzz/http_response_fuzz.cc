// The client's response parser: any bytes, in pieces of any size, with an end anywhere.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "http/response_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::http::ResponseParser;
  if (size < 2) return 0;
  const size_t step = 1 + data[0] * size_t{4};
  weir::http::ResponseLimits limits;
  limits.header_bytes = 4096;
  limits.body_bytes = 8192;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  while (!bytes.empty()) {
    ResponseParser parser(limits, (data[1] & 1) != 0);
    size_t body = 0;
    const auto sink = [&](std::string_view piece) {
      if (piece.empty() || !parser.head_done()) std::abort();
      body += piece.size();
    };
    while (!bytes.empty() && parser.phase() != ResponseParser::Phase::kDone &&
           parser.phase() != ResponseParser::Phase::kError) {
      const size_t used = parser.feed(bytes.substr(0, step), sink);
      if (used == 0 && parser.phase() != ResponseParser::Phase::kError)
        std::abort();  // no progress
      bytes.remove_prefix(used);
    }
    if (body > limits.body_bytes) std::abort();
    parser.finish();
    const bool done = parser.phase() == ResponseParser::Phase::kDone;
    if (!done && parser.phase() != ResponseParser::Phase::kError) std::abort();
    if (!done && parser.error().message.empty()) std::abort();
    if (done && (parser.head().status < 200 || parser.head().status > 999)) std::abort();
    if (!done || !parser.keep_alive()) break;
  }
  return 0;
}
