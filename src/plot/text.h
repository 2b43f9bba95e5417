// How pages and reports write numbers and names, the same in text and HTML. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::plot {

// Three significant digits, without exponent up to 1e15: "0.123", "12.3", "1,234"; "–" when not
// known.
std::string number_text(double v);
// A time given in milliseconds, in the unit that reads best: "85.2 ms", "1.25 s", "310 us".
std::string ms_text(double ms);
std::string percent_text(double share);  // "97.3 %"
std::string count_text(int64_t n);       // "12,345"

// For a terminal: control characters, C1 ones and those that reorder text become U+FFFD.
std::string printable(std::string_view utf8);
// For HTML text and attribute values: & < > " ' escaped, after printable().
std::string escaped(std::string_view utf8);

}  // namespace weir::plot
