// File's typed access to metadata.
#include <utility>

#include "gguf/file.h"
#include "gguf/parse.h"

namespace weir::gguf {

Result<const Value*> File::require(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) {
    return make_error(ErrorCode::kNotFound,
                      "{} has no metadata key '{}': it is not a complete model file, convert or "
                      "download it again",
                      path_, key);
  }
  return value;
}

Error File::wrong_type(std::string_view key, const Value& value, std::string_view wanted) const {
  return make_error(ErrorCode::kCorrupt,
                    "{}: the key '{}' is {} ({}), {} is needed; convert the model again", path_,
                    key, value.type_text(), quoted(value.to_text()), wanted);
}

Result<uint64_t> File::get_uint(std::string_view key) const {
  WEIR_ASSIGN(const Value* value, require(key));
  if (const auto v = value->as_uint()) return *v;
  return wrong_type(key, *value, "an integer that is not negative");
}

Result<int64_t> File::get_int(std::string_view key) const {
  WEIR_ASSIGN(const Value* value, require(key));
  if (const auto v = value->as_int()) return *v;
  return wrong_type(key, *value, "an integer");
}

Result<double> File::get_float(std::string_view key) const {
  WEIR_ASSIGN(const Value* value, require(key));
  if (const auto v = value->as_float()) return *v;
  return wrong_type(key, *value, "a number");
}

Result<bool> File::get_bool(std::string_view key) const {
  WEIR_ASSIGN(const Value* value, require(key));
  if (const auto v = value->as_bool()) return *v;
  return wrong_type(key, *value, "a bool");
}

Result<std::string_view> File::get_string(std::string_view key) const {
  WEIR_ASSIGN(const Value* value, require(key));
  if (const auto v = value->as_string()) return *v;
  return wrong_type(key, *value, "a string");
}

Result<uint64_t> File::uint_or(std::string_view key, uint64_t fallback) const {
  return find(key) == nullptr ? Result<uint64_t>(fallback) : get_uint(key);
}

Result<int64_t> File::int_or(std::string_view key, int64_t fallback) const {
  return find(key) == nullptr ? Result<int64_t>(fallback) : get_int(key);
}

Result<double> File::float_or(std::string_view key, double fallback) const {
  return find(key) == nullptr ? Result<double>(fallback) : get_float(key);
}

Result<bool> File::bool_or(std::string_view key, bool fallback) const {
  return find(key) == nullptr ? Result<bool>(fallback) : get_bool(key);
}

Result<std::string_view> File::string_or(std::string_view key, std::string_view fallback) const {
  return find(key) == nullptr ? Result<std::string_view>(fallback) : get_string(key);
}

Result<std::vector<std::string_view>> File::get_strings(std::string_view key) const {
  WEIR_ASSIGN(const Value* value, require(key));
  if (!value->is_array() || value->element_type != ValueType::kString) {
    return wrong_type(key, *value, "an array of strings");
  }
  std::vector<std::string_view> out;
  out.reserve(value->count);
  ValueReader reader(*value);
  while (const auto element = reader.next()) out.push_back(*element->as_string());
  return out;
}

Result<std::vector<float>> File::get_floats(std::string_view key) const {
  WEIR_ASSIGN(const Value* value, require(key));
  const bool is_float =
      value->element_type == ValueType::kFloat32 || value->element_type == ValueType::kFloat64;
  if (!value->is_array() || (!is_float && !is_integer(value->element_type))) {
    return wrong_type(key, *value, "an array of numbers");
  }
  std::vector<float> out;
  out.reserve(value->count);
  ValueReader reader(*value);
  while (const auto element = reader.next())
    out.push_back(static_cast<float>(*element->as_float()));
  return out;
}

Result<std::vector<int64_t>> File::get_ints(std::string_view key) const {
  WEIR_ASSIGN(const Value* value, require(key));
  const bool is_bool = value->element_type == ValueType::kBool;
  if (!value->is_array() || (!is_bool && !is_integer(value->element_type))) {
    return wrong_type(key, *value, "an array of integers");
  }
  std::vector<int64_t> out;
  out.reserve(value->count);
  ValueReader reader(*value);
  while (const auto element = reader.next()) {
    const std::optional<int64_t> number =
        is_bool ? std::optional<int64_t>(*element->as_bool() ? 1 : 0) : element->as_int();
    if (!number) return wrong_type(key, *value, "an array of integers below 2^63");
    out.push_back(*number);
  }
  return out;
}

}  // namespace weir::gguf
