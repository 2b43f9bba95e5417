// vLLM's flags for who starts it with others' (Dynamo's worker, llm-d's chart): only what every
// version that is known takes, since the version that they bring is theirs to say.
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

Result<WorkerLines> vllm_worker_lines(const WriteContext& context, const EnvironmentValues& values);

// The line that lets prefill hand its KV cache to decode.
ConfigLine transfer_line();

}  // namespace weir::ops
