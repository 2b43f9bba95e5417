// Paths and ports as the engines' own servers have them: vLLM's entrypoints/openai/api_server.py,
// SGLang's srt/entrypoints/http_server.py, TensorRT-LLM's serve/openai_server.py, llama.cpp's
// tools/server/README.md, weir's server/routes.cc.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "config/key.h"
#include "ops/config_write/engine_config.h"

namespace weir::ops {
namespace {

const std::array<EngineProfile, 5>& profiles() {
  static const std::array<EngineProfile, 5> kProfiles{{
      {"vllm",
       "vllm",
       8000,
       "/health",
       "/health",
       "/metrics",
       "vllm/vllm-openai:v{}",
       {"vllm", "serve"}},
      {"sglang",
       "sglang",
       30000,
       "/health",
       "/health",
       "/metrics",
       "lmsysorg/sglang:v{}",
       {"python3", "-m", "sglang.launch_server"}},
      {"tensorrt-llm",
       "trtllm",
       8000,
       "/health",
       "/health",
       "/prometheus/metrics",
       "",
       {"trtllm-serve", "serve"}},
      {"llama.cpp",
       "llamacpp",
       8080,
       "/health",
       "/health",
       "/metrics",
       "",
       {"llama-server"},
       false},
      {"weir", "weir", 8080, "/ready", "/health", "/metrics", "", {"weir", "serve"}},
  }};
  return kProfiles;
}

}  // namespace

Result<const EngineProfile*> engine_profile(std::string_view target) {
  std::vector<std::string> names;
  for (const EngineProfile& p : profiles()) {
    if (p.engine == target || p.target == target) return &p;
    names.emplace_back(p.target);
  }
  return make_error(ErrorCode::kUsage, "{}: no engine that is written; the nearest is {}, all: {}",
                    target, config::nearest(target, names), fmt::join(names, ", "));
}

}  // namespace weir::ops
