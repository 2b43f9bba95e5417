// Outputs of nvidia-smi and kubectl from outside: what is accepted keeps its bounds.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ops/doctor/gpu_topology.h"
#include "ops/doctor/kubernetes_node.h"
#include "ops/doctor/nvidia_smi.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::ops;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto smi = parse_nvidia_smi(text);
  if (smi.ok() && (smi->gpus.empty() || smi->gpus.size() > 128)) std::abort();
  if (!smi.ok() && smi.error().message.empty()) std::abort();
  const auto topology = parse_gpu_topology(text);
  if (topology.ok()) {
    const auto cells = static_cast<size_t>(topology->gpus) * static_cast<size_t>(topology->gpus);
    if (topology->paths.size() != cells || topology->links.size() != cells) std::abort();
    if (topology->all_nvlink() && !topology->any_nvlink()) std::abort();
  }
  const auto node = parse_kubernetes_node(text);
  if (node.ok() && node->capacity.empty()) std::abort();
  (void)parse_kubelet_config(text.substr(0, 4096));
  return 0;
}
