#include <algorithm>

#include "ops/doctor/rules.h"

namespace weir::ops {
namespace {

Judged pcie_width(const Machine& m, const DoctorNeed&) {
  std::vector<std::string> narrow;
  for (size_t i = 0; i < m.nvidia->gpus.size(); ++i) {
    const NvidiaGpu& g = m.nvidia->gpus[i];
    if (g.pcie_width && g.pcie_max_width && *g.pcie_width < *g.pcie_max_width)
      narrow.push_back(fmt::format("GPU {} at x{} of x{}", i, *g.pcie_width, *g.pcie_max_width));
  }
  if (narrow.empty()) return fine("full");
  return advise(
      fmt::format("{}", fmt::join(narrow, ", ")),
      "reseat the card or its riser, and look at the slot's lanes and bifurcation in the firmware");
}

Judged pcie_generation(const Machine& m, const DoctorNeed&) {
  std::vector<std::string> slow;
  for (size_t i = 0; i < m.nvidia->gpus.size(); ++i) {
    const NvidiaGpu& g = m.nvidia->gpus[i];
    if (g.pcie_max_gen && g.pcie_device_gen && *g.pcie_max_gen < *g.pcie_device_gen)
      slow.push_back(fmt::format("GPU {} at {} of {}", i, *g.pcie_max_gen, *g.pcie_device_gen));
  }
  if (slow.empty()) return fine("the GPU's");
  return advise(fmt::format("{}", fmt::join(slow, ", ")),
                "the slot or the firmware limits the link: look at its settings; a host of that "
                "generation has no remedy");
}

bool has_topology(const Machine& m, const DoctorNeed&) {
  return m.topology && m.topology->gpus > 1;
}

Judged nvlink(const Machine& m, const DoctorNeed&) {
  const GpuTopology& t = *m.topology;
  if (t.all_nvlink()) return fine("every pair");
  if (!t.any_nvlink()) {
    return as_hint(advise("none: PCIe only",
                          "prefer one replica a GPU, or pipeline over tensor parallelism; a model "
                          "that fits one GPU in a smaller precision is served best so"));
  }
  std::string pairs;
  for (int a = 0; a < t.gpus && pairs.size() < 80; ++a) {
    for (int b = a + 1; b < t.gpus && pairs.size() < 80; ++b) {
      if (t.path(a, b) != GpuPath::kNvLink)
        pairs +=
            fmt::format("{}{}-{} {}", pairs.empty() ? "" : ", ", a, b, gpu_path_name(t.path(a, b)));
    }
  }
  return advise("not between " + pairs,
                "nvidia-smi nvlink --status says which link is down; bridges join pairs only: "
                "place each tensor-parallel group inside one");
}

Judged sockets(const Machine& m, const DoctorNeed&) {
  const GpuTopology& t = *m.topology;
  int far = 0;
  for (int a = 0; a < t.gpus; ++a) {
    for (int b = a + 1; b < t.gpus; ++b) far += t.path(a, b) == GpuPath::kSys ? 1 : 0;
  }
  const int pairs = t.gpus * (t.gpus - 1) / 2;
  const std::string found = fmt::format("{} of {} pairs reach across", far, pairs);
  if (far == 0) return fine(found);
  return advise(
      found,
      "keep a tensor-parallel group on the GPUs of one socket (CUDA_VISIBLE_DEVICES), and its "
      "processes on that socket's CPUs");
}

// NVSwitch: the driver tells a state of the fabric.
bool has_fabric(const Machine& m, const DoctorNeed&) {
  return m.nvidia &&
         std::any_of(m.nvidia->gpus.begin(), m.nvidia->gpus.end(), [](const NvidiaGpu& g) {
           return !g.fabric_state.empty() && g.fabric_state != "N/A";
         });
}

Judged fabric(const Machine& m, const DoctorNeed&) {
  const auto it = m.services.find("nvidia-fabricmanager");
  const std::string service = it == m.services.end() ? "not told" : it->second;
  for (const NvidiaGpu& g : m.nvidia->gpus) {
    if (g.fabric_state == "Completed" &&
        (g.fabric_status.empty() || g.fabric_status == "Success" || g.fabric_status == "N/A"))
      continue;
    return wrong(
        fmt::format("fabric {} ({}), service {}", g.fabric_state, g.fabric_status, service),
        "systemctl start nvidia-fabricmanager", "systemctl stop nvidia-fabricmanager");
  }
  return fine("fabric Completed, service " + service);
}

Judged gpudirect(const Machine& m, const DoctorNeed&) {
  if (!m.modules_known) return unknown();
  if (m.has_module("nvidia_peermem")) return fine("nvidia_peermem");
  Judged j = wrong("nvidia_peermem is not loaded", "modprobe nvidia-peermem",
                   "modprobe -r nvidia-peermem");
  return j;
}

Judged nccl(const Machine& m, const DoctorNeed&) {
  std::vector<std::string> bad;
  for (const char* name : {"NCCL_P2P_DISABLE", "NCCL_SHM_DISABLE", "NCCL_IB_DISABLE"}) {
    const auto it = m.environment.find(name);
    if (it != m.environment.end() && it->second == "1") bad.push_back(std::string(name) + "=1");
  }
  const auto level = m.environment.find("NCCL_P2P_LEVEL");
  if (level != m.environment.end() && level->second == "LOC")
    bad.emplace_back("NCCL_P2P_LEVEL=LOC");
  const auto debug = m.environment.find("NCCL_DEBUG");
  const bool loud =
      debug != m.environment.end() && (debug->second == "INFO" || debug->second == "TRACE");
  if (loud) bad.push_back("NCCL_DEBUG=" + debug->second);
  if (bad.empty()) return fine("nothing that slows it down");
  std::string unset;
  for (const std::string& b : bad) unset += " " + b.substr(0, b.find('='));
  Judged j =
      advise(fmt::format("{}", fmt::join(bad, ", ")),
             "unset" + unset +
                 " where the engine is started, and measure (nccl-tests all_reduce_perf) before "
                 "setting them again");
  return bad.size() == 1 && loud ? as_hint(std::move(j)) : j;
}

}  // namespace

std::vector<DoctorRule> gpu_link_rules() {
  constexpr auto kFix = DoctorSeverity::kFix;
  constexpr auto kHint = DoctorSeverity::kHint;
  return {
      {"gpu-pcie-width", kFix, "NVIDIA GPUs", "all lanes",
       "half the lanes are half the rate at which weights are loaded and KV cache is swapped or "
       "sent",
       "nvidia-nvml-docs", has_gpu, pcie_width},
      {"gpu-pcie-generation", kHint, "NVIDIA GPUs", "the GPU's own generation",
       "each generation doubles the rate", "nvidia-nvml-docs", has_gpu, pcie_generation},
      {"gpu-nvlink", kFix, "two NVIDIA GPUs or more",
       "NVLink between every pair of a tensor-parallel group",
       "tensor parallelism sends activations twice a layer; over PCIe that is most of a decode "
       "step",
       "nccl-env-docs", has_topology, nvlink},
      {"gpu-socket-distance", kHint, "two NVIDIA GPUs or more without NVLink",
       "no pair across sockets",
       "peers across sockets go through the CPUs' link, or not directly at all",
       "nvidia-gpudirect-rdma-docs",
       [](const Machine& m, const DoctorNeed& n) {
         return has_topology(m, n) && !m.topology->any_nvlink();
       },
       sockets},
      {"gpu-fabric-manager", kFix, "NVSwitch systems", "fabric Completed",
       "without it no CUDA program starts on such a system, or its GPUs do not see each other",
       "nvidia-fabric-manager-guide", has_fabric, fabric},
      {"gpu-direct-rdma", kFix, "NVIDIA GPUs with RDMA cards, not containers",
       "nvidia_peermem is loaded",
       "without it KV cache and activations between machines go through the host's memory",
       "nvidia-gpudirect-rdma-docs",
       [](const Machine& m, const DoctorNeed&) {
         return !m.container && m.nvidia && !m.rdma_devices.empty();
       },
       gpudirect},
      {"nccl-environment", kFix, "two NVIDIA GPUs or more", "transports on, no INFO log",
       "settings of a debugging session switch off the fast transports for good", "nccl-env-docs",
       has_gpus, nccl},
  };
}

}  // namespace weir::ops
