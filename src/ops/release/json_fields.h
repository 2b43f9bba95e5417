// Members of a JSON object that must be there, of their type and within bounds; errors name file
// and member. Internal to ops/.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ops/release/sha256.h"
#include "text/json.h"

namespace weir::ops {

class JsonFields {
 public:
  // Borrows both. name: "release.json", or "manifest.json: files[3]".
  JsonFields(const text::Json& object, std::string name)
      : object_(object), name_(std::move(name)) {}

  // The object has these members and no other.
  Status exactly(const std::vector<std::string_view>& keys) const {
    if (!object_.is_object()) return bad("it", "an object");
    for (const auto& [key, value] : object_.members()) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end())
        return make_error(ErrorCode::kCorrupt, "{}: unknown member \"{}\"", name_, key);
    }
    for (const std::string_view key : keys) {
      if (object_.find(key) == nullptr)
        return make_error(ErrorCode::kCorrupt, "{}: \"{}\" is missing", name_, key);
    }
    return {};
  }
  Result<std::string> text(std::string_view key, size_t most = 4096) const {
    const text::Json* v = object_.find(key);
    if (v == nullptr || !v->is_string() || v->size() > most)
      return bad(key, fmt::format("a text of at most {} bytes", most));
    return v->as_string();
  }
  Result<std::string> hex(std::string_view key, size_t digits = 64, bool or_empty = false) const {
    const text::Json* v = object_.find(key);
    if (v != nullptr && v->is_string() &&
        (is_hex(v->as_string(), digits) || (or_empty && v->as_string().empty())))
      return v->as_string();
    return bad(key, fmt::format("{} hexadecimal digits", digits));
  }
  Result<int64_t> integer(std::string_view key, int64_t min, int64_t max) const {
    const text::Json* v = object_.find(key);
    if (v == nullptr || !v->is_int() || v->as_int() < min || v->as_int() > max)
      return bad(key, fmt::format("an integer from {} to {}", min, max));
    return v->as_int();
  }
  // nullptr is an error as well.
  Result<const text::Json*> list(std::string_view key, size_t most) const {
    const text::Json* v = object_.find(key);
    if (v == nullptr || !v->is_array() || v->size() > most)
      return bad(key, fmt::format("a list of at most {} items", most));
    return v;
  }
  Error bad(std::string_view key, std::string_view wanted) const {
    return make_error(ErrorCode::kCorrupt, "{}: {} must be {}", name_, key, wanted);
  }

 private:
  const text::Json& object_;
  std::string name_;
};

}  // namespace weir::ops
