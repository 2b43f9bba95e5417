#include "api/fields.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weir::api {

using namespace std::string_view_literals;

using text::Json;

std::string join_path(std::string_view base, std::string_view name) {
  return base.empty() ? std::string(name) : fmt::format("{}.{}", base, name);
}

std::string index_path(std::string_view base, size_t index) {
  return fmt::format("{}[{}]", base, index);
}

Error wrong_type(std::string_view path, std::string_view wanted, const Json& got) {
  const std::string_view type = got.type_name();
  const std::string_view article = got.is_null() ? "" : "aio"sv.find(type[0]) < 3 ? "an " : "a ";
  return param_error(ErrorCode::kInvalidValue, path, "{} must be {}, not {}{}", path, wanted,
                     article, type);
}

Result<Fields> Fields::of(const Json& value, std::string path) {
  if (!value.is_object())
    return wrong_type(path.empty() ? "the request body" : path, "an object", value);
  return Fields(value, std::move(path));
}

const Json* Fields::find(std::string_view name) {
  asked_.emplace_back(name);
  const Json* v = value_->find(name);
  return v == nullptr || v->is_null() ? nullptr : v;
}

Result<const Json*> Fields::require(std::string_view name) {
  const Json* v = find(name);
  if (v == nullptr)
    return param_error(ErrorCode::kInvalidValue, path(name), "{} is required", path(name));
  return v;
}

Result<std::optional<int64_t>> Fields::integer(std::string_view name, int64_t low, int64_t high) {
  const Json* v = find(name);
  if (v == nullptr) return std::optional<int64_t>();
  // 16.0 counts as 16: JavaScript clients and some serializers do not tell them apart.
  const bool whole = v->is_double() && v->as_double() >= -0x1.0p53 && v->as_double() <= 0x1.0p53 &&
                     v->as_double() == static_cast<double>(static_cast<int64_t>(v->as_double()));
  if (v->is_double() && std::abs(v->as_double()) > 0x1.0p53) {  // past 64 bits, JSON has a double
    return param_error(ErrorCode::kInvalidValue, path(name),
                       "{} is {}; it must be between {} and {}", path(name), v->as_double(), low,
                       high);
  }
  if (!v->is_int() && !whole) return wrong_type(path(name), "an integer", *v);
  const int64_t i = v->is_int() ? v->as_int() : static_cast<int64_t>(v->as_double());
  if (i < low || i > high) {
    return param_error(ErrorCode::kInvalidValue, path(name),
                       "{} is {}; it must be between {} and {}", path(name), i, low, high);
  }
  return std::optional<int64_t>(i);
}

Result<std::optional<double>> Fields::number(std::string_view name, double low, double high) {
  const Json* v = find(name);
  if (v == nullptr) return std::optional<double>();
  if (!v->is_number()) return wrong_type(path(name), "a number", *v);
  const double d = v->as_double();
  if (!(d >= low && d <= high)) {
    return param_error(ErrorCode::kInvalidValue, path(name),
                       "{} is {}; it must be between {} and {}", path(name), d, low, high);
  }
  return std::optional<double>(d);
}

Result<std::optional<bool>> Fields::boolean(std::string_view name) {
  const Json* v = find(name);
  if (v == nullptr) return std::optional<bool>();
  if (!v->is_bool()) return wrong_type(path(name), "true or false", *v);
  return std::optional<bool>(v->as_bool());
}

Result<std::string> Fields::require_string(std::string_view name) {
  WEIR_ASSIGN(const Json* v, require(name));
  if (!v->is_string()) return wrong_type(path(name), "a string", *v);
  return v->as_string();
}

Result<std::optional<std::string>> Fields::string(std::string_view name) {
  const Json* v = find(name);
  if (v == nullptr) return std::optional<std::string>();
  if (!v->is_string()) return wrong_type(path(name), "a string", *v);
  return std::optional<std::string>(v->as_string());
}

Result<std::vector<std::string>> Fields::strings(std::string_view name, size_t max_items) {
  const Json* v = find(name);
  std::vector<std::string> out;
  if (v == nullptr) return out;
  if (v->is_string()) {
    out.push_back(v->as_string());
  } else if (v->is_array()) {
    for (size_t i = 0; i < v->size(); ++i) {
      if (!v->items()[i].is_string())
        return wrong_type(index_path(path(name), i), "a string", v->items()[i]);
      out.push_back(v->items()[i].as_string());
    }
  } else {
    return wrong_type(path(name), "a string or an array of strings", *v);
  }
  if (out.size() > max_items) {
    return param_error(ErrorCode::kInvalidValue, path(name),
                       "{} has {} items; at most {} are taken", path(name), out.size(), max_items);
  }
  for (size_t i = 0; i < out.size(); ++i) {
    const std::string where = v->is_string() ? path(name) : index_path(path(name), i);
    if (out[i].empty())
      return param_error(ErrorCode::kInvalidValue, where, "{} must not be empty", where);
  }
  return out;
}

Result<std::vector<int32_t>> parse_token_ids(const Json& array, const std::string& path,
                                             size_t max_items) {
  if (!array.is_array()) return wrong_type(path, "an array of token ids", array);
  if (array.size() > max_items) {
    return param_error(ErrorCode::kInvalidValue, path, "{} has {} items; at most {} are taken",
                       path, array.size(), max_items);
  }
  std::vector<int32_t> ids;
  ids.reserve(array.size());
  for (size_t i = 0; i < array.size(); ++i) {
    const Json& v = array.items()[i];
    if (!v.is_int()) return wrong_type(index_path(path, i), "a token id", v);
    if (v.as_int() < 0 || v.as_int() > std::numeric_limits<int32_t>::max()) {
      return param_error(ErrorCode::kInvalidValue, index_path(path, i),
                         "{} is {}; a token id is not negative and below 2^31", index_path(path, i),
                         v.as_int());
    }
    ids.push_back(static_cast<int32_t>(v.as_int()));
  }
  return ids;
}

Result<std::vector<int32_t>> Fields::token_ids(std::string_view name, size_t max_items) {
  const Json* v = find(name);
  if (v == nullptr) return std::vector<int32_t>{};
  return parse_token_ids(*v, path(name), max_items);
}

Status Fields::finish(bool strict) const {
  if (!strict) return {};
  for (const Json::Member& m : value_->members()) {
    if (std::find(asked_.begin(), asked_.end(), m.first) == asked_.end()) {
      return param_error(ErrorCode::kUnknownParameter, path(m.first),
                         "{} is not a parameter that this server knows", path(m.first));
    }
  }
  return {};
}

}  // namespace weir::api
