// For tests of parsers: random edits of well-formed bytes.
#pragma once

#include <string>
#include <string_view>

#include "base/rng.h"

namespace weir::http {

// Changes, inserts or removes one to three bytes, by bytes that mean something in HTTP.
// Precondition: at least three bytes.
inline void edit_randomly(Rng& rng, std::string& bytes) {
  constexpr std::string_view kAlphabet = "\r\n\t :;,=/?0aZ\"\\\x01\x7f\xff";
  for (uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
    const size_t at = rng.below(bytes.size());
    const char c = kAlphabet[rng.below(kAlphabet.size())];
    switch (rng.below(3)) {
      case 0:
        bytes[at] = c;
        break;
      case 1:
        bytes.insert(at, 1, c);
        break;
      default:
        bytes.erase(at, 1);
        break;
    }
  }
}

}  // namespace weir::http
