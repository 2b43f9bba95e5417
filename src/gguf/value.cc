#include "gguf/value.h"

#include <fmt/format.h>

#include <limits>

namespace weir::gguf {

namespace {

template <typename T>
T load(std::span<const std::byte> raw) {
  T value;
  std::memcpy(&value, raw.data(), sizeof value);
  return value;
}

// Printable ASCII and UTF-8 lead bytes stay; control bytes become '.' so that a message cannot
// drive a terminal.
std::string printable(std::string_view text, size_t max_bytes) {
  std::string out(text.substr(0, max_bytes));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '.';
  }
  if (text.size() > max_bytes) {
    // Not in the middle of a character.
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0) == 0x80) out.pop_back();
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xc0) out.pop_back();
    out += "…";
  }
  return out;
}

}  // namespace

std::string value_type_name(ValueType type) {
  switch (type) {
    case ValueType::kUint8:
      return "uint8";
    case ValueType::kInt8:
      return "int8";
    case ValueType::kUint16:
      return "uint16";
    case ValueType::kInt16:
      return "int16";
    case ValueType::kUint32:
      return "uint32";
    case ValueType::kInt32:
      return "int32";
    case ValueType::kFloat32:
      return "float32";
    case ValueType::kBool:
      return "bool";
    case ValueType::kString:
      return "string";
    case ValueType::kArray:
      return "array";
    case ValueType::kUint64:
      return "uint64";
    case ValueType::kInt64:
      return "int64";
    case ValueType::kFloat64:
      return "float64";
  }
  return fmt::format("type {}", static_cast<uint32_t>(type));
}

uint32_t scalar_bytes(ValueType type) {
  switch (type) {
    case ValueType::kUint8:
    case ValueType::kInt8:
    case ValueType::kBool:
      return 1;
    case ValueType::kUint16:
    case ValueType::kInt16:
      return 2;
    case ValueType::kUint32:
    case ValueType::kInt32:
    case ValueType::kFloat32:
      return 4;
    case ValueType::kUint64:
    case ValueType::kInt64:
    case ValueType::kFloat64:
      return 8;
    case ValueType::kString:
    case ValueType::kArray:
      return 0;
  }
  return 0;
}

bool is_integer(ValueType type) {
  switch (type) {
    case ValueType::kUint8:
    case ValueType::kInt8:
    case ValueType::kUint16:
    case ValueType::kInt16:
    case ValueType::kUint32:
    case ValueType::kInt32:
    case ValueType::kUint64:
    case ValueType::kInt64:
      return true;
    default:
      return false;
  }
}

std::optional<int64_t> Value::as_int() const {
  switch (type) {
    case ValueType::kUint8:
      return load<uint8_t>(raw);
    case ValueType::kInt8:
      return load<int8_t>(raw);
    case ValueType::kUint16:
      return load<uint16_t>(raw);
    case ValueType::kInt16:
      return load<int16_t>(raw);
    case ValueType::kUint32:
      return load<uint32_t>(raw);
    case ValueType::kInt32:
      return load<int32_t>(raw);
    case ValueType::kInt64:
      return load<int64_t>(raw);
    case ValueType::kUint64: {
      const auto value = load<uint64_t>(raw);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<uint64_t> Value::as_uint() const {
  if (type == ValueType::kUint64) return load<uint64_t>(raw);
  const std::optional<int64_t> value = as_int();
  if (!value || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

std::optional<double> Value::as_float() const {
  if (type == ValueType::kFloat32) return load<float>(raw);
  if (type == ValueType::kFloat64) return load<double>(raw);
  if (type == ValueType::kUint64) return static_cast<double>(load<uint64_t>(raw));
  const std::optional<int64_t> value = as_int();
  if (!value) return std::nullopt;
  return static_cast<double>(*value);
}

std::optional<bool> Value::as_bool() const {
  if (type != ValueType::kBool) return std::nullopt;
  return raw[0] != std::byte{0};
}

std::optional<std::string_view> Value::as_string() const {
  if (type != ValueType::kString) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size());
}

std::string Value::type_text() const {
  if (!is_array()) return value_type_name(type);
  return fmt::format("array of {} {}", count, value_type_name(element_type));
}

std::string Value::to_text(size_t max_elements, size_t max_bytes) const {
  if (!is_array()) {
    if (const auto text = as_string()) return printable(*text, max_bytes);
    if (const auto flag = as_bool()) return *flag ? "true" : "false";
    if (const auto number = as_uint()) return fmt::format("{}", *number);
    if (const auto number = as_int()) return fmt::format("{}", *number);
    if (type == ValueType::kFloat32) return fmt::format("{}", load<float>(raw));
    return fmt::format("{}", as_float().value_or(0.0));
  }
  std::string text = "[";
  ValueReader reader(*this);
  for (size_t i = 0; i < max_elements; ++i) {
    const std::optional<Value> element = reader.next();
    if (!element) break;
    if (i > 0) text += ", ";
    text += element->to_text(0, max_bytes);
  }
  if (count > max_elements) text += fmt::format(", … {} in all", count);
  return text + "]";
}

std::optional<Value> ValueReader::next() {
  if (left_ == 0) return std::nullopt;
  --left_;
  Value element{type_, type_, 1, raw_};
  if (!array_) return element;
  size_t skip = scalar_bytes(type_);
  size_t start = 0;
  if (type_ == ValueType::kString) {
    start = sizeof(uint64_t);
    skip = start + load<uint64_t>(raw_);
  }
  element.raw = raw_.subspan(start, skip - start);
  raw_ = raw_.subspan(skip);
  return element;
}

}  // namespace weir::gguf
