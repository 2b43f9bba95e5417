// The fields that a running server's metrics answer. Pure; the bytes come from http/ (cli/).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/intake/intake.h"
#include "text/prometheus_text.h"

namespace weir::ops {

struct Scrape {
  std::vector<text::MetricSample> samples;
  double at_s = 0;  // on one clock
};

// Of stack.engine, by the prefixes of names. Error kUnsupported with names that are there.
Result<std::string_view> engine_of(std::span<const text::MetricSample> samples);

struct MetricsReading {
  Intake intake;                     // all measured; evidence: source, metric, over which time
  std::vector<std::string> skipped;  // what no field takes: "METRIC: why"
};

// metric_rows() applied. With `earlier` counters and histograms are those of the time between, but
// for a histogram that saw nothing then; without it histograms are since the server started, and
// there are no rates. traffic.concurrency is running + waiting, where that is at least one half.
// Series of a tensor or pipeline rank above 0 repeat those of rank 0 and are left out.
// Errors: those of engine_of; kCorrupt when a counter went back: the server was restarted.
Result<MetricsReading> intake_of_metrics(const Scrape& scrape, const Scrape* earlier,
                                         const std::string& source);

// A histogram of Prometheus: how many values are at most each bound.
struct CumulativeHistogram {
  std::vector<std::pair<double, double>> buckets;  // (bound, count up to it), ascending
  double sum = 0;
  double count = 0;
};

struct HistogramQuantile {
  double value = 0;
  bool beyond = false;  // behind the last finite bound, which `value` is
};
// Linear within a bucket, the first one beginning at 0, as PromQL's histogram_quantile.
// Precondition: count > 0 and a finite bucket.
HistogramQuantile histogram_quantile(const CumulativeHistogram& histogram, double share);

}  // namespace weir::ops
