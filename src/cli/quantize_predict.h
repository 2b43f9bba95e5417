// weir quantize --dry-run: how fast the file would run on this machine.
#pragma once

#include <optional>
#include <string>

#include "bench/speed_prediction.h"
#include "gguf/file.h"
#include "kernels/thread_pool.h"
#include "ops/quantize/quantize.h"
#include "text/json.h"

namespace weir::cli {

struct PredictedSpeed {
  std::optional<bench::SpeedPrediction> speed;
  std::string why_not;  // where it is missing
  std::string isa;
  int threads = 0;
};

// Measures this machine for some seconds. What weir cannot run has no prediction, and the reason.
PredictedSpeed predict_speed(const gguf::File& source, const ops::QuantizePlan& plan,
                             kernels::ThreadPool& pool);

void print_speed(const PredictedSpeed& p);
text::Json speed_json(const PredictedSpeed& p);

}  // namespace weir::cli
