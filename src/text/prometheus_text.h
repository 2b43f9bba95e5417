// Prometheus' text exposition (version 0.0.4, and what OpenMetrics adds: "# EOF", exemplars) as
// samples. The text is taken for hostile: everything is bounded. No I/O. Any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::text {

struct MetricSample {
  std::string name;                                         // "vllm:num_requests_running"
  std::vector<std::pair<std::string, std::string>> labels;  // in their order, unescaped
  double value = 0;                                         // may be NaN or infinite

  // "" when there is none.
  std::string_view label(std::string_view key) const;
};

struct PrometheusLimits {
  size_t text_bytes = size_t{16} << 20;
  size_t samples = 200'000;
  size_t labels = 64;         // of a sample
  size_t name_bytes = 256;    // of a metric or a label
  size_t value_bytes = 4096;  // of a label, as escaped
};

// In their order. wanted: names of metrics; lines of others are not looked at, which makes a large
// text cheap; empty: all. Errors name the line: kCorrupt for what is no sample, kLimit for a bound.
Result<std::vector<MetricSample>> parse_prometheus(std::string_view text,
                                                   const PrometheusLimits& limits = {},
                                                   std::span<const std::string_view> wanted = {});

}  // namespace weir::text
