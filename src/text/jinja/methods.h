// The methods of Python's str, list, tuple and dict (and of cyclers) that templates may call.
// Those that change a list or dict are there: the values belong to the rendering alone.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"

namespace weir::text::jinja {

bool has_method(Kind kind, std::string_view name);
// method.self.name(*args). Errors as Python raises them.
Result<Value> call_method(Runtime& rt, const Method& method, const Args& args);

bool has_string_method(std::string_view name);
// Precondition: has_string_method(name) and self is a string. Arguments from
// args.positional[first].
Result<Value> call_string_method(Runtime& rt, const Value& self, std::string_view name,
                                 const Args& args, size_t first = 0);

}  // namespace weir::text::jinja
