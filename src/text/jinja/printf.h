// Python's two ways to format strings.
#pragma once

#include "text/jinja/runtime.h"

namespace weir::text::jinja {

// format % arguments: a tuple's items, or the value itself; %(name)s reads a dict.
Result<Value> printf_format(Runtime& rt, const Value& format, const Value& arguments);
// format.format(*args): {} {0} {name} {a.b[0]} with !r, !s and the specs of width, alignment,
// precision and type.
Result<Value> brace_format(Runtime& rt, const Value& format, const Args& args, size_t first);

}  // namespace weir::text::jinja
