#include "ops/config_write/metric_names.h"

#include <fmt/format.h>

#include "ops/intake/metric_table.h"

namespace weir::ops {
namespace {

const MetricRow* row_of(std::string_view engine, std::string_view field) {
  for (const MetricRow& r : metric_rows()) {
    if (r.engine == rows_of(engine) && r.field == field) return &r;
  }
  return nullptr;
}

// {job="x"}, and what the row filters by.
std::string selector(const MetricRow& r, std::string_view job) {
  std::string out = fmt::format("job=\"{}\"", job);
  const size_t equals = r.other.find('=');
  if (equals != std::string_view::npos)
    out += fmt::format(",{}=\"{}\"", r.other.substr(0, equals), r.other.substr(equals + 1));
  return "{" + out + "}";
}

}  // namespace

std::string metric_name(std::string_view engine, std::string_view field) {
  const MetricRow* r = row_of(engine, field);
  return r == nullptr ? "" : std::string(r->metric);
}

std::string metric_expression(std::string_view engine, std::string_view field, std::string_view job,
                              double quantile) {
  const MetricRow* r = row_of(engine, field);
  if (r == nullptr) return "";
  const std::string of = selector(*r, job);
  const auto rate = [&](std::string_view metric, std::string_view suffix) {
    return fmt::format("sum(rate({}{}{}[5m]))", metric, suffix, of);
  };
  switch (r->kind) {
    case MetricKind::kSum:
      return fmt::format("sum({}{})", r->metric, of);
    case MetricKind::kMean:
      return fmt::format("avg({}{})", r->metric, of);
    case MetricKind::kRate:
    case MetricKind::kMaxRate:
      return rate(r->metric, "");
    case MetricKind::kRatio:
      return rate(r->metric, "") + " / " + rate(r->other, "");
    case MetricKind::kQuantiles:
    case MetricKind::kLengths:
      return fmt::format("histogram_quantile({:g}, sum by (le) (rate({}_bucket{}[5m])))", quantile,
                         r->metric, of);
    case MetricKind::kAverageMs:
      return "1000 * " + rate(r->metric, "_sum") + " / " + rate(r->metric, "_count");
    case MetricKind::kFlag:
      return "";
  }
  return "";
}

}  // namespace weir::ops
