// An engine's metrics as PromQL, by the intake fields that they answer (ops/intake/metric_table.h).
#pragma once

#include <string>
#include <string_view>

namespace weir::ops {

// Of the first row that answers the field; "" where the engine shows none.
std::string metric_name(std::string_view engine, std::string_view field);

// The whole expression, over all replicas of a job: a quantile of a histogram in seconds, the mean
// in ms, a rate a second, a share, a sum. "" where the engine shows none.
std::string metric_expression(std::string_view engine, std::string_view field, std::string_view job,
                              double quantile = 0.95);

}  // namespace weir::ops
