// The journal of an unfinished quantization: what is accepted is a whole prefix of the lines.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ops/quantize/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::ops;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = parse_journal(text);
  if (!parsed.ok()) return parsed.error().message.empty() ? std::abort(), 0 : 0;
  if (!*parsed) return 0;
  const Journal& journal = **parsed;
  if (journal.ends.size() != journal.tensors.size() + 1) std::abort();
  for (const size_t end : journal.ends) {
    if (end == 0 || end > size || text[end - 1] != '\n') std::abort();
  }
  if (difference(journal.run, journal.run)) std::abort();
  const auto again = parse_journal(text.substr(0, journal.ends.back()));
  if (!again.ok() || !*again || (*again)->tensors != journal.tensors) std::abort();
  return 0;
}
