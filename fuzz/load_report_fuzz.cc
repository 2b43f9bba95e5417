// A report of `weir bench load` from outside; what is accepted must write, read back the same, and
// render and compare without harm.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "bench/report/compare.h"
#include "bench/report/html.h"
#include "bench/report/json.h"
#include "bench/report/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::bench;
  const auto report = read_report({reinterpret_cast<const char*>(data), size});
  if (!report.ok()) return 0;
  const std::string written = report_json(*report).dump();
  const auto again = read_report(written);
  if (!again.ok() || report_json(*again).dump() != written) std::abort();
  if (report_text(*report).empty() || report_html(*report).empty()) std::abort();
  const auto comparison = compare(*report, *again);
  if (comparison.ok() && comparison->any_worse()) std::abort();  // with itself
  return 0;
}
