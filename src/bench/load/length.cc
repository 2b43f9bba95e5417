#include "bench/load/length.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

namespace weir::bench {
namespace {

template <typename T>
bool read_number(std::string_view text, T& out) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size();
}

bool read_tokens(std::string_view text, int32_t& out) {
  return read_number(text, out) && out >= 1 && out <= kMaxLengthTokens;
}

// "MEDIAN:SIGMA[:MAX]"
bool read_lognormal(std::string_view rest, Length& l) {
  const size_t first = rest.find(':');
  if (first == std::string_view::npos) return false;
  const size_t second = rest.find(':', first + 1);
  const std::string_view sigma =
      rest.substr(first + 1, second == std::string_view::npos ? second : second - first - 1);
  l.kind = Length::Kind::kLognormal;
  l.high = kMaxLengthTokens;
  if (second != std::string_view::npos && !read_tokens(rest.substr(second + 1), l.high))
    return false;
  // A sigma of 5 puts the 97.5th percentile at 18,000 times the median.
  return read_number(rest.substr(0, first), l.median) && l.median >= 1 &&
         l.median <= kMaxLengthTokens && read_number(sigma, l.sigma) && l.sigma >= 0 &&
         l.sigma <= 5;
}

}  // namespace

int32_t Length::sample(double u1, double u2) const {
  switch (kind) {
    case Kind::kUniform: {
      const double span = static_cast<double>(high) - low + 1;
      return std::min(high, low + static_cast<int32_t>(u1 * span));
    }
    case Kind::kLognormal: {
      // Box-Muller; 1 - u1 lies in (0, 1].
      const double normal = std::sqrt(-2 * std::log(1 - u1)) * std::cos(2 * std::numbers::pi * u2);
      const double value = median * std::exp(sigma * normal);
      return static_cast<int32_t>(std::clamp(std::round(value), 1.0, static_cast<double>(high)));
    }
    case Kind::kFixed:
    case Kind::kTrace:
      break;
  }
  return low;
}

std::string Length::text() const {
  switch (kind) {
    case Kind::kUniform:
      return fmt::format("uniform:{}-{}", low, high);
    case Kind::kLognormal:
      return high == kMaxLengthTokens ? fmt::format("lognormal:{}:{}", median, sigma)
                                      : fmt::format("lognormal:{}:{}:{}", median, sigma, high);
    case Kind::kTrace:
      return "trace";
    case Kind::kFixed:
      break;
  }
  return std::to_string(low);
}

Result<Length> parse_length(std::string_view flag, std::string_view text) {
  Length l;
  bool ok = false;
  constexpr std::string_view kUniform = "uniform:";
  constexpr std::string_view kLognormal = "lognormal:";
  if (text == "trace") {
    l.kind = Length::Kind::kTrace;
    ok = true;
  } else if (text.starts_with(kUniform)) {
    const std::string_view rest = text.substr(kUniform.size());
    const size_t dash = rest.find('-');
    l.kind = Length::Kind::kUniform;
    ok = dash != std::string_view::npos && read_tokens(rest.substr(0, dash), l.low) &&
         read_tokens(rest.substr(dash + 1), l.high) && l.low <= l.high;
  } else if (text.starts_with(kLognormal)) {
    ok = read_lognormal(text.substr(kLognormal.size()), l);
  } else {
    ok = read_tokens(text, l.low);
  }
  if (ok) return l;
  return make_error(ErrorCode::kUsage,
                    "{}: \"{}\" is no length; give tokens from 1 to {} as 512, uniform:100-900, "
                    "lognormal:MEDIAN:SIGMA[:MAX] (sigma up to 5) or trace",
                    flag, text, kMaxLengthTokens);
}

}  // namespace weir::bench
