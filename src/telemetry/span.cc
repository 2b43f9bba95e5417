#include "telemetry/span.h"

#include <algorithm>
#include <span>

namespace weir::telemetry {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;  // upper case is not permitted there
}

bool parse_hex(std::string_view text, std::span<uint8_t> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return true;
}

bool all_zero(std::span<const uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

}  // namespace

bool TraceContext::valid() const { return !all_zero(trace_id) && !all_zero(span_id); }

std::string hex(const uint8_t* bytes, size_t size) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(size * 2);
  for (size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::optional<TraceContext> parse_traceparent(std::string_view h) {
  constexpr size_t kLength = 55;  // of version 00
  if (h.size() < kLength || h[2] != '-' || h[35] != '-' || h[52] != '-') return std::nullopt;
  uint8_t version = 0;
  uint8_t flags = 0;
  TraceContext context;
  if (!parse_hex(h, {&version, 1}) || !parse_hex(h.substr(3), context.trace_id) ||
      !parse_hex(h.substr(36), context.span_id) || !parse_hex(h.substr(53), {&flags, 1}))
    return std::nullopt;
  if (version == 0xFF || !context.valid()) return std::nullopt;
  if (h.size() > kLength && (version == 0 || h[kLength] != '-')) return std::nullopt;
  context.sampled = (flags & 1) != 0;
  return context;
}

std::string format_traceparent(const TraceContext& c) {
  return "00-" + hex(c.trace_id.data(), c.trace_id.size()) + "-" +
         hex(c.span_id.data(), c.span_id.size()) + (c.sampled ? "-01" : "-00");
}

}  // namespace weir::telemetry
