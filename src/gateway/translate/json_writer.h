// JSON text written from front to back. Values may be raw: JSON text that is taken as it stands,
// so that numbers and blanks of arguments and schemas stay byte for byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "text/json.h"

namespace weir::gateway::translate {

class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name) {
    string(name);
    out_ += ':';
    comma_ = false;
    return *this;
  }
  // value is well-formed UTF-8.
  JsonWriter& string(std::string_view value) { return raw(text::json_quote(value)); }
  JsonWriter& integer(int64_t value) { return raw(std::to_string(value)); }
  JsonWriter& number(double value) { return raw(text::Json(value).dump()); }
  JsonWriter& boolean(bool value) { return raw(value ? "true" : "false"); }
  JsonWriter& null() { return raw("null"); }
  // json is one valid JSON value.
  JsonWriter& raw(std::string_view json) {
    if (comma_) out_ += ',';
    out_ += json;
    comma_ = true;
    return *this;
  }

  JsonWriter& member(std::string_view name, std::string_view value) {
    return key(name).string(value);
  }
  JsonWriter& member_integer(std::string_view name, int64_t value) {
    return key(name).integer(value);
  }

  const std::string& text() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  JsonWriter& open(char c) {
    if (comma_) out_ += ',';
    out_ += c;
    comma_ = false;
    return *this;
  }
  JsonWriter& close(char c) {
    out_ += c;
    comma_ = true;
    return *this;
  }

  std::string out_;
  bool comma_ = false;  // the next value stands behind another
};

}  // namespace weir::gateway::translate
