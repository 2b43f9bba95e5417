// What a server shows at /metrics: two scrapes, split at a NUL byte; what is read keeps its
// promises.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ops/intake/read_metrics.h"
#include "text/prometheus_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::ops;
  using weir::text::MetricSample;
  using weir::text::parse_prometheus;
  using weir::text::PrometheusLimits;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  PrometheusLimits limits;
  limits.samples = 300;
  limits.labels = 8;
  const size_t split = std::min(all.find('\0'), all.size());
  auto first = parse_prometheus(all.substr(0, split), limits);
  if (!first.ok()) {
    if (first.error().message.empty()) std::abort();
    return 0;
  }
  for (const MetricSample& s : *first) {
    if (s.name.empty() || s.name.size() > limits.name_bytes || s.labels.size() > limits.labels)
      std::abort();
  }
  if (first->size() > limits.samples) std::abort();
  const Scrape earlier{std::move(*first), 1};
  auto second = parse_prometheus(all.substr(std::min(split + 1, all.size())), limits);
  Scrape later = earlier;
  if (second.ok() && !second->empty()) later.samples = std::move(*second);
  later.at_s = 11;
  for (const Scrape* before : {static_cast<const Scrape*>(nullptr), &earlier}) {
    const auto reading = intake_of_metrics(later, before, "fuzz");
    if (!reading.ok()) {
      if (reading.error().message.empty()) std::abort();
      continue;
    }
    for (const auto& [path, value] : reading->intake.values()) {
      if (find_intake_field(path) == nullptr) std::abort();
      if (const auto* v = std::get_if<double>(&value.value); v != nullptr && !std::isfinite(*v))
        std::abort();
    }
  }
  return 0;
}
