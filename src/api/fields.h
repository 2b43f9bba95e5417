// Reading the members of a request object: types and ranges checked, errors that name the field by
// its path.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace weir::api {

// "messages[2]" + "content" → "messages[2].content"; at the root the name alone.
std::string join_path(std::string_view base, std::string_view name);
std::string index_path(std::string_view base, size_t index);

// kInvalidValue: "<path> must be <wanted>, not <what it is>".
[[nodiscard]] Error wrong_type(std::string_view path, std::string_view wanted,
                               const text::Json& got);

// One object of a request. A null member counts as absent, as clients send it. Remembers which
// names were asked for, so that finish() can name the others.
class Fields {
 public:
  // Error: kInvalidValue when `value` is not an object.
  static Result<Fields> of(const text::Json& value, std::string path = "");

  // nullptr when absent or null.
  const text::Json* find(std::string_view name);
  // kInvalidValue when missing.
  Result<const text::Json*> require(std::string_view name);
  // Likewise, or when it is none.
  Result<std::string> require_string(std::string_view name);

  // The fallback when absent. Errors: kInvalidValue for a wrong type or a value out of [low, high].
  Result<std::optional<int64_t>> integer(std::string_view name, int64_t low, int64_t high);
  Result<std::optional<double>> number(std::string_view name, double low, double high);
  Result<std::optional<bool>> boolean(std::string_view name);
  Result<std::optional<std::string>> string(std::string_view name);
  // A string or an array of up to `max_items` strings; none may be empty.
  Result<std::vector<std::string>> strings(std::string_view name, size_t max_items);
  Result<std::vector<int32_t>> token_ids(std::string_view name, size_t max_items);

  std::string path(std::string_view name) const { return join_path(path_, name); }
  // When strict: kUnknownParameter for the first member that nothing asked for.
  Status finish(bool strict) const;

 private:
  Fields(const text::Json& value, std::string path) : value_(&value), path_(std::move(path)) {}
  const text::Json* value_;
  std::string path_;
  std::vector<std::string> asked_;
};

// The ids of an array of integers; each at least 0.
Result<std::vector<int32_t>> parse_token_ids(const text::Json& array, const std::string& path,
                                             size_t max_items);

}  // namespace weir::api
