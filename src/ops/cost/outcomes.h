// What requests cost and whether their answers were of use, as JSON lines:
//   {"cost_usd": 0.0031, "accepted": true}
// Other keys are passed over, so a gateway's ledger can be read as it is.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::ops {

struct Outcomes {
  size_t requests = 0, accepted = 0;
  double cost_usd = 0;  // of all, those that were not accepted included

  double accept_rate() const;
  double usd_per_request() const;
  double usd_per_accepted() const;  // infinite when none was
  // Wilson's 95 % interval of the accept rate.
  double accept_low() const, accept_high() const;
};

// name: of the file. Errors: kCorrupt "NAME:LINE: ..." for a line that is no object, a cost that is
// missing, negative or above 1,000,000, an `accepted` that is neither true nor false; for no line
// at all.
Result<Outcomes> parse_outcomes(std::string_view lines, std::string_view name);
// Of a file of at most 64 MiB.
Result<Outcomes> read_outcomes(const std::string& path);

}  // namespace weir::ops
