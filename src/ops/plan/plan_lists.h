// What weir plan --models and --accelerators list.
#pragma once

#include <span>
#include <string>

#include "ops/data/accelerators.h"
#include "ops/data/models.h"
#include "text/json.h"

namespace weir::ops {

// A line each; "-" where a figure is not published.
std::string accelerators_text(const Accelerators& all);
std::string models_text(std::span<const KnownModel> models);

// The same and dates, sources' days and prices; null where a figure is not published.
text::Json accelerators_json(const Accelerators& all);
text::Json models_json(std::span<const KnownModel> models);

}  // namespace weir::ops
