// ASCII letters in lower case, whatever the locale; other bytes stay.
#pragma once

#include <string>
#include <string_view>

namespace weir::text {

inline std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace weir::text
