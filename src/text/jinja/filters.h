// Jinja's filters and tests.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"

namespace weir::text::jinja {

// args.positional[0] is the operand. kUnsupported for an unknown name.
Result<Value> apply_filter(Runtime& rt, std::string_view name, const Args& args);
Result<bool> apply_test(Runtime& rt, std::string_view name, const Args& args);

// What a filter is called with.
struct FilterCall {
  Runtime& rt;
  const Args& args;
  std::string_view name;

  const Value& operand() const { return args.positional[0]; }
  Arguments arguments() const { return {rt, args, name, 1}; }
};
struct FilterEntry {
  std::string_view name;
  Result<Value> (*apply)(const FilterCall&);
};
// The filters on sequences and the others; each ends with an entry without a name.
const FilterEntry* sequence_filters();
const FilterEntry* value_filters();

}  // namespace weir::text::jinja
