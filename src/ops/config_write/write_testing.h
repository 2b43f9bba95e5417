// A plan and what is written of it, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "config/yaml.h"
#include "ops/config_write/write.h"
#include "ops/deploy/node_path.h"

namespace weir::ops {

inline PlanFile some_plan() {
  PlanFile p;
  p.created = "2026-11-30";
  p.evidence_class = "hypothesis";
  p.model_source = "llama-3.1-70b";
  p.model_name = "meta-llama/Llama-3.1-70B";
  p.precision = "fp8";
  p.bits_per_weight = 8;
  p.context_tokens = 16384;
  p.kv_type = "fp8";
  p.accelerator = "nvidia-h100-sxm";
  p.accelerator_name = "NVIDIA H100 SXM";
  p.tensor_parallel = 4;
  p.memory_share = 0.9;
  p.max_running = 128;
  p.step_tokens = 4096;
  p.max_queued = 20;
  p.replicas_low = 4;
  p.replicas_high = 6;
  p.autoscaling = PlanAutoscaling{3, 9, 4, 120};
  p.memory = {.device_gb = 80,
              .usable_gb = 72,
              .weights_gb = 17.6,
              .activations_gb = 2,
              .kv_gb = 52.4,
              .kv_bytes_per_token = 163840,
              .kv_tokens = 1'279'000,
              .fits = true};
  p.slo = {1500, 60, 0};
  p.workload = {900, 6000, 250, 900, 12, 1.3, 0.3, 16384};
  LoadPoint low;
  low.rate_per_s = 2.4;
  low.total_ms_p99 = 41'000;
  p.low = low;
  return p;
}

// A checkpoint of the plan's bits for who does not quantize while loading, a CPU for weir.
inline WrittenConfig written(PlanFile plan, WriteRequest request) {
  const std::string serving = request.engine.empty() ? request.target : request.engine;
  if (serving == "weir" || serving == "llamacpp" || serving == "llama.cpp")
    request.model_source = "models/llama-3.1-70b-q8_0.gguf";
  if (serving == "trtllm" || serving == "tensorrt-llm")
    request.model_source = "example/Llama-3.1-70B-FP8";
  if (request.target == "weir") plan.accelerator = "amd-epyc-9654";
  auto w = write_config(plan, request);
  EXPECT_TRUE(w.ok()) << request.target << ": " << w.error().message;
  return w.ok() ? std::move(*w) : WrittenConfig();
}

inline std::string file_of(const WrittenConfig& w, std::string_view ending) {
  for (const WrittenFile& f : w.files) {
    if (f.path.ends_with(ending)) return f.text;
  }
  ADD_FAILURE() << w.target << " wrote no " << ending;
  return "";
}

}  // namespace weir::ops
