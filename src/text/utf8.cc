#include "text/utf8.h"

#include <algorithm>

#include "text/byte_runs.h"

namespace weir::text {
namespace {

// Table 3-7: what the first byte asks of the sequence.
struct Lead {
  uint32_t length;     // 0: no sequence starts with this byte
  uint8_t second_low;  // bounds of the second byte; the others are 80..BF
  uint8_t second_high;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Char decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1, true, false};
  const Lead lead = lead_of(first);
  if (lead.length == 0) return {};
  uint32_t value = first & (0xFFu >> (lead.length + 1));
  for (uint32_t i = 1; i < lead.length; ++i) {
    if (at + i >= text.size()) return {kReplacementCharacter, i, false, true};
    const uint8_t low = i == 1 ? lead.second_low : 0x80;
    const uint8_t high = i == 1 ? lead.second_high : 0xBF;
    if (byte(i) < low || byte(i) > high) return {kReplacementCharacter, i, false, false};
    value = value << 6 | (byte(i) & 0x3Fu);
  }
  return {value, lead.length, true, false};
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t at = 0;
  while ((at = ascii_end(text, at)) < text.size()) {
    const Utf8Char c = decode_utf8(text, at);
    if (!c.valid) break;
    at += c.length;
  }
  return at;
}

std::string_view cut_utf8(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  // 10xxxxxx goes on with a character: the cut moves to where that one begins.
  while (max_bytes > 0 && (static_cast<unsigned char>(text[max_bytes]) & 0xC0) == 0x80) --max_bytes;
  return text.substr(0, max_bytes);
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t good = valid_utf8_prefix(text);
    out.append(text.substr(0, good));
    text.remove_prefix(good);
    if (text.empty()) break;
    out.append(kReplacementUtf8);
    text.remove_prefix(decode_utf8(text, 0).length);
  }
  return out;
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

void append_utf8(std::string& out, uint32_t codepoint) {
  const auto push = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (codepoint > 0x10FFFF || (codepoint >= 0xD800 && codepoint <= 0xDFFF)) {
    codepoint = kReplacementCharacter;
  }
  if (codepoint < 0x80) {
    push(codepoint);
  } else if (codepoint < 0x800) {
    push(0xC0 | codepoint >> 6);
    push(0x80 | (codepoint & 0x3F));
  } else if (codepoint < 0x10000) {
    push(0xE0 | codepoint >> 12);
    push(0x80 | (codepoint >> 6 & 0x3F));
    push(0x80 | (codepoint & 0x3F));
  } else {
    push(0xF0 | codepoint >> 18);
    push(0x80 | (codepoint >> 12 & 0x3F));
    push(0x80 | (codepoint >> 6 & 0x3F));
    push(0x80 | (codepoint & 0x3F));
  }
}

}  // namespace weir::text
