#include "plot/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/utf8.h"

namespace weir::plot {
namespace {

// Commas between thousands of a string of digits, an optional sign before.
std::string with_commas(std::string digits) {
  const size_t start = digits.starts_with('-') ? 1 : 0;
  for (size_t at = digits.size(); at > start + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

}  // namespace

std::string number_text(double v) {
  if (!std::isfinite(v)) return "–";
  const double size = std::abs(v);
  if (size < 1e-9) return "0";
  if (size >= 99.95) return with_commas(fmt::format("{:.0f}", v));
  if (size >= 9.995) return fmt::format("{:.1f}", v);
  if (size >= 0.9995) return fmt::format("{:.2f}", v);
  if (size >= 0.001) return fmt::format("{:.3f}", v);
  return fmt::format("{:.1e}", v);
}

std::string ms_text(double ms) {
  if (!std::isfinite(ms)) return "–";
  if (std::abs(ms) >= 10'000) return number_text(ms / 1000) + " s";
  if (std::abs(ms) < 0.1 && ms != 0) return number_text(ms * 1000) + " us";
  return number_text(ms) + " ms";
}

std::string percent_text(double share) {
  if (!std::isfinite(share)) return "–";
  const double percent = share * 100;
  // 99.96 % is not 100 %.
  if (percent < 100 && percent >= 99.95) return fmt::format("{:.2f} %", std::min(percent, 99.99));
  return fmt::format("{:.1f} %", percent);
}

std::string count_text(int64_t n) { return with_commas(std::to_string(n)); }

std::string printable(std::string_view utf8) {
  const std::string valid = text::replace_invalid_utf8(utf8);
  std::string out;
  for (size_t i = 0; i < valid.size();) {
    const text::Utf8Char c = text::decode_utf8(valid, i);
    i += c.length;
    const uint32_t p = c.codepoint;
    const bool control = p < 0x20 || (p >= 0x7F && p < 0xA0);
    const bool reorders = (p >= 0x200E && p <= 0x200F) || (p >= 0x2028 && p <= 0x202E) ||
                          (p >= 0x2066 && p <= 0x2069) || p == 0xFEFF;
    text::append_utf8(out, control || reorders ? text::kReplacementCharacter : p);
  }
  return out;
}

std::string escaped(std::string_view utf8) {
  std::string out;
  for (const char c : printable(utf8)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace weir::plot
