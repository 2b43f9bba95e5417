// vLLM's flags for who starts it with others' (Dynamo's worker, llm-d's chart): of the version that
// the image says, else only what every version that is known takes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "ops/config_write/write.h"

namespace weir::ops {

struct WorkerLines {
  std::vector<ConfigLine> lines;  // without the model, host and port
  std::vector<std::string> left_out;
};

// image: that its own server (vllm serve) is started in, so that flags of the server go along;
// empty: a worker without one.
Result<WorkerLines> vllm_worker_lines(const WriteContext& context, const EnvironmentValues& values,
                                      const std::string& image = "");

// The line that lets prefill hand its KV cache to decode.
ConfigLine transfer_line();

}  // namespace weir::ops
