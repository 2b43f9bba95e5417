// Template source to its syntax tree.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/budgets.h"

namespace weir::text::jinja {

// Errors, with the line: kCorrupt for bad syntax, kUnsupported for tags, filters and tests that the
// subset lacks, kSchemaTooComplex for passed budgets. Any thread.
Result<Body> parse(std::string_view source, const Budgets& budgets);

}  // namespace weir::text::jinja
