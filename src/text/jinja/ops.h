// Python's operators on values. Errors are Runtime::fail where Python raises.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"

namespace weir::text::jinja {

enum class Op : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kIn,
  kNotIn
};
std::string_view op_text(Op op);

bool truthy(const Value& v);
// "str", "int", "dict", ... as Python names types.
std::string_view type_name(const Value& v);
bool is_markup(const Value& v);
// & < > ' " as HTML entities.
Text escape_html(const Text& text);
// str(v) and repr(v).
Result<Text> to_text(Runtime& rt, const Value& v);
Result<Text> repr(Runtime& rt, const Value& v);

Result<bool> equals(Runtime& rt, const Value& a, const Value& b);
Result<bool> less(Runtime& rt, const Value& a, const Value& b);
Result<bool> contains(Runtime& rt, const Value& needle, const Value& haystack);
// Arithmetic and comparison.
Result<Value> binary(Runtime& rt, Op op, const Value& a, const Value& b);
Result<Value> negate(Runtime& rt, const Value& v);

// len(v).
Result<int64_t> length(Runtime& rt, const Value& v);
// list(v): the items of a list, the keys of a dict, the characters of a string. Empties generators.
Result<std::vector<Value>> iterate(Runtime& rt, const Value& v);
// v[index], then v.index; undefined when there is none.
Result<Value> get_item(Runtime& rt, const Value& v, const Value& index);
// v.name, then v["name"]; undefined when there is none.
Result<Value> get_attribute(Runtime& rt, const Value& v, std::string_view name);
// v[start:stop:step]; none stands for a part left out.
Result<Value> slice(Runtime& rt, const Value& v, const Value& start, const Value& stop,
                    const Value& step);

// nullptr when absent. Error for keys that cannot be hashed.
Result<const Value*> find_key(Runtime& rt, const Dict& dict, const Value& key);
// The entry of a text key, or nullptr.
const Value* find_text_key(const Dict& dict, std::string_view key);
Status set_key(Runtime& rt, std::vector<std::pair<Value, Value>>& entries, Value key, Value value);

}  // namespace weir::text::jinja
