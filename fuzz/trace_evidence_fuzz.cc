// What weir intake --trace keeps of a trace: a file that is read can be drawn from, and reads back.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ops/trace/traffic.h"

namespace {

void check(const weir::ops::TraceQuantity& q) {
  double before = 0;
  for (const double share : {0.0, 0.01, 0.5, 0.9995, 1.0}) {
    const double v = q.at(share);
    if (!(v >= before)) std::abort();
    before = v;
  }
  for (const weir::ops::Fit& f : q.fits.fits) {
    if (!f.distribution.valid()) std::abort();
    const double c = weir::ops::cdf(f.distribution, 1 + q.mean);
    if (!(c >= 0 && c <= 1 + 1e-9)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::ops;
  const auto t = parse_traffic(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!t.ok()) {
    if (t.error().message.empty()) std::abort();
    return 0;
  }
  check(t->prompt_tokens);
  check(t->output_tokens);
  check(t->gap_s);
  const auto again = parse_traffic(traffic_json(*t));
  if (!again.ok() || traffic_json(*again) != traffic_json(*t)) std::abort();
  return 0;
}
