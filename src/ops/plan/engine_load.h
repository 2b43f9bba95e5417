// Runs requests on an engine at the moments they arrive and notes what a client would see. Internal
// to ops/.
#pragma once

#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/loaded_model.h"
#include "ops/plan/simulate.h"

namespace weir::ops {

struct EngineLoadResult {
  std::vector<float> ttft_ms;  // by request
  GapHistogram gaps;
  int64_t output_tokens = 0;
  double span_s = 0;  // from the first arrival to the last token
  std::vector<engine::StepSample> steps;
};

struct EngineLoadLimits {
  int32_t max_running = 16;
  int32_t step_tokens = 512;
  uint64_t seed = 1;  // of the prompts' tokens
};

// Steps run on the calling thread, first come first served, prompts in chunks of step_tokens beside
// decodes, without speculation and prefix cache: as the simulation has it. Errors: kInternal for a
// request that ended otherwise than with its tokens; those of the engine.
Result<EngineLoadResult> run_engine_load(engine::LoadedModel& model, const Clock& clock,
                                         std::span<const SimRequest> requests,
                                         const EngineLoadLimits& limits);

}  // namespace weir::ops
