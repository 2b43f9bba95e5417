// A report as one self-contained HTML page: no script, no outside resource, inline SVG, dark and
// light by the reader's preference. Everything that came from outside is escaped.
#pragma once

#include <string>

#include "bench/report/report.h"

namespace weir::bench {

std::string report_html(const Report& report);

}  // namespace weir::bench
