// How fast a file comes from its device.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace weir::os {

struct ReadRate {
  double bytes_per_s = 0;
  uint64_t bytes = 0;   // that were read
  bool direct = false;  // past the page cache; else its pages were dropped first, as far as the
                        // kernel agreed
};

// Reads `path` from its beginning in large blocks until its end, max_bytes or max_ms. Errors:
// kNotFound, kIo; kLimit for a file under 4 MiB, which says nothing.
Result<ReadRate> measure_read_rate(const std::string& path, uint64_t max_bytes, int max_ms,
                                   const Clock& clock);

}  // namespace weir::os
