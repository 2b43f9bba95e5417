// JSON values that keep the order of their members: what requests hold and what templates read.
//
// parse() is strict RFC 8259 and more: UTF-8 is checked, lone surrogates and duplicate keys are
// refused unless the limits say otherwise, nesting is bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace weir::text {

struct JsonLimits {
  size_t max_depth = 64;
  size_t max_values = SIZE_MAX;  // a value of two bytes of text takes some 32
  // Half of a surrogate pair, escaped, becomes U+FFFD: Python's json writes such text.
  bool replace_lone_surrogates = false;
};

struct JsonDump {
  int indent = -1;              // spaces a level; -1: one line
  std::string_view item = ",";  // between items
  std::string_view key = ":";   // between key and value
  bool ensure_ascii = false;    // escape everything beyond ASCII
  bool sort_keys = false;
};

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;  // in order of insertion; keys are unique

  Json() = default;                                     // null
  Json(std::nullptr_t) {}                               // NOLINT(google-explicit-constructor)
  Json(bool v) : value_(v) {}                           // NOLINT(google-explicit-constructor)
  Json(int v) : value_(int64_t{v}) {}                   // NOLINT(google-explicit-constructor)
  Json(int64_t v) : value_(v) {}                        // NOLINT(google-explicit-constructor)
  Json(double v) : value_(v) {}                         // NOLINT(google-explicit-constructor)
  Json(std::string v) : value_(std::move(v)) {}         // NOLINT(google-explicit-constructor)
  Json(std::string_view v) : value_(std::string(v)) {}  // NOLINT(google-explicit-constructor)
  Json(const char* v) : value_(std::string(v)) {}       // NOLINT(google-explicit-constructor)
  static Json array() { return Json(Storage(Array{})); }
  static Json object() { return Json(Storage(Object{})); }

  // Error: kInvalidJson with the byte offset and what was expected there.
  static Result<Json> parse(std::string_view text, const JsonLimits& limits = {});
  // NaN and infinities become null. Doubles print as Python's repr: the shortest text that reads
  // back the same.
  std::string dump(const JsonDump& options = {}) const;

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_int() const { return std::holds_alternative<int64_t>(value_); }
  bool is_double() const { return std::holds_alternative<double>(value_); }
  bool is_number() const { return is_int() || is_double(); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  // "null", "boolean", "integer", "number", "string", "array", "object".
  std::string_view type_name() const;

  // Preconditions: the value is of that type (as_double takes integers too).
  bool as_bool() const { return std::get<bool>(value_); }
  int64_t as_int() const { return std::get<int64_t>(value_); }
  double as_double() const {
    return is_int() ? static_cast<double>(as_int()) : std::get<double>(value_);
  }
  const std::string& as_string() const { return std::get<std::string>(value_); }
  const Array& items() const { return std::get<Array>(value_); }
  Array& items() { return std::get<Array>(value_); }
  const Object& members() const { return std::get<Object>(value_); }
  Object& members() { return std::get<Object>(value_); }

  // Elements of an array or object, bytes of a string; else 0.
  size_t size() const;
  // nullptr when absent or not an object. Linear.
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key);
  // Sets or replaces a member; a null value becomes an object first.
  Json& set(std::string_view key, Json value);
  // Appends; a null value becomes an array first.
  Json& push_back(Json value);

  friend bool operator==(const Json& a, const Json& b) { return a.value_ == b.value_; }

 private:
  using Storage = std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object>;
  explicit Json(Storage value) : value_(std::move(value)) {}
  Storage value_;
};

// s as a JSON string with its quotes.
std::string json_quote(std::string_view s, bool ensure_ascii = false);
// The shortest text that reads back as v, spelled as Python's repr ("1.0", "1e+16"); v is finite.
std::string json_number(double v);

}  // namespace weir::text
