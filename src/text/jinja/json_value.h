// JSON into template values and back.
#pragma once

#include "text/jinja/runtime.h"
#include "text/json.h"

namespace weir::text::jinja {

// Strings (and keys) come from the user, or from the template. `role` names count as the
// template's where they are the value of a "role" key.
Result<Value> from_json(Runtime& rt, const Json& json, bool user);

struct ToJson {
  int indent = -1;  // spaces a level; -1: one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};
// json.dumps(v, ...), each byte with its origin. Error for values that JSON lacks.
Result<Text> to_json(Runtime& rt, const Value& v, const ToJson& options);

}  // namespace weir::text::jinja
