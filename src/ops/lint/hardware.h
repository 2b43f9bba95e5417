// What of a model and of devices a configuration is held against: heads that parallelism must
// divide, the link between devices, and whether weights and context fit.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ops/lint/facts.h"
#include "ops/plan/model_shape.h"

namespace weir::ops {

struct LintDevice {
  std::string id;  // of data/accelerators.yaml
  std::string name;
  double memory_bytes = 0;
  std::string link;    // "NVLink 4"; empty: only PCIe
  int64_t domain = 0;  // devices that the link joins; 0: not said
};

// Error kUsage: there is no such id, with the nearest; kUnsupported: a CPU.
Result<LintDevice> lint_device(std::string_view id);
// The shape of an id of data/models.yaml. Error kUsage: there is none, with the nearest.
Result<ModelShape> catalog_shape(std::string_view id);

struct LintHardware {
  std::optional<ModelShape> model;
  std::optional<LintDevice> device;
  int64_t count = 0;       // devices; 0: not said
  double weight_bits = 0;  // of a weight, over all else that says it; 0: not said
};

// Adds model.*, device.* and, where model and device are known, kv.*: what is left for the KV cache
// of one device after the weights, and how many tokens that holds.
//
//   vLLM, SGLang: memory x utilization - weights/(TP x PP) - reserve
//   TensorRT-LLM: (memory - weights/(TP x PP)) x fraction
//   llama.cpp:    memory x devices - weights - reserve, the context in all slots together
//
// Bits of a weight: weight_bits, else the model's where it is stored in fewer than 16, else those
// of the quantization's name (data/engine_facts.yaml), else the model's. Where the name leaves them
// to the checkpoint there is no kv.*, and weights.unsaid_by is that name.
//
// reserve (activations, graphs): 2 GB, a hypothesis. KV of a token is divided by min(TP, KV heads)
// and by PP; a latent (MLA) is kept whole by each device.
void add_hardware(const LintHardware& hardware, FactSet& facts);

}  // namespace weir::ops
