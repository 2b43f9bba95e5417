// Writes JSON text: what telemetry sends to others. Never fails; strings that are not UTF-8 get
// U+FFFD for each byte that is wrong, NaN and infinities become null.
//
//   JsonWriter w;
//   w.begin_object();
//   w.key("a").value(1);
//   w.end_object();
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace weir::telemetry {

// Bytes of the well-formed UTF-8 character that s begins with (RFC 3629: no overlong forms, no
// surrogates, nothing above U+10FFFF); 0 if there is none. s is not empty.
size_t utf8_length(std::string_view s);

// Appends s as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view s);

class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(bool flag);
  JsonWriter& value(double number);
  JsonWriter& value(std::signed_integral auto number) { return whole(number); }
  JsonWriter& value(std::unsigned_integral auto number) { return natural(number); }
  // Microseconds with three decimals out of nanoseconds: exact.
  JsonWriter& micros(int64_t ns);

  const std::string& text() const { return out_; }
  std::string take() { return std::exchange(out_, {}); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& whole(int64_t number);
  JsonWriter& natural(uint64_t number);
  void separate();

  std::string out_;
  bool need_comma_ = false;
};

}  // namespace weir::telemetry
