// What text and page of a report have in common. Internal to gateway/.
#pragma once

#include <string>
#include <vector>

#include "gateway/state/report.h"

namespace weir::gateway {

// The head, a row for each group, and the sum; texts are printable, not escaped.
std::vector<std::vector<std::string>> report_table(const LedgerReport& report);
std::vector<std::string> report_notes(const LedgerReport& report);

}  // namespace weir::gateway
