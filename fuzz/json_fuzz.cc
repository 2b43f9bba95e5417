// A JSON document from outside; what is accepted must survive a round trip.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "text/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::text::Json;
  const auto parsed = Json::parse({reinterpret_cast<const char*>(data), size});
  if (!parsed.ok()) return 0;
  for (const bool ascii : {false, true}) {
    weir::text::JsonDump options;
    options.ensure_ascii = ascii;
    const auto again = Json::parse(parsed->dump(options));
    if (!again.ok() || !(*again == *parsed)) std::abort();
  }
  return 0;
}
