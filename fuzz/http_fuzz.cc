// The request parser under the server's limits: any bytes, in pieces of any size.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "http/request_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::http::RequestParser;
  if (size < 2) return 0;
  const size_t step = 1 + data[0] * size_t{4};
  weir::http::ParserLimits limits;
  limits.header_bytes = 4096;
  limits.target_bytes = 512;
  limits.body_bytes = 8192;
  limits.require_host = (data[1] & 1) != 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  while (!bytes.empty()) {
    RequestParser parser(limits);
    while (!bytes.empty() && parser.phase() != RequestParser::Phase::kDone &&
           parser.phase() != RequestParser::Phase::kError) {
      const size_t used = parser.feed(bytes.substr(0, step));
      if (used == 0) std::abort();  // no progress
      bytes.remove_prefix(used);
    }
    if (parser.request().body.size() > limits.body_bytes) std::abort();
    if (parser.phase() == RequestParser::Phase::kError && parser.status() < 400) std::abort();
    if (parser.phase() != RequestParser::Phase::kDone || !parser.keep_alive()) break;
  }
  return 0;
}
