#include <algorithm>

#include "ops/doctor/rules.h"
#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

constexpr const char* kGpu = "nvidia.com/gpu";

bool has_kubelet(const Machine& m, const DoctorNeed&) { return m.kubelet.known; }
bool has_node(const Machine& m, const DoctorNeed&) { return m.node.has_value(); }

std::string or_none(const std::string& policy) { return policy.empty() ? "none" : policy; }

const std::string kHow =
    "in /var/lib/kubelet/config.yaml, then drain the node, remove "
    "/var/lib/kubelet/cpu_manager_state and restart the "
    "kubelet";

Judged cpu_manager(const Machine& m, const DoctorNeed&) {
  const std::string policy = or_none(m.kubelet.cpu_manager);
  if (policy == "static") return fine(policy);
  return advise(policy, "cpuManagerPolicy: static (with reservedSystemCPUs) " + kHow +
                            "; pods get whole CPUs with equal integer requests and limits");
}

Judged topology_manager(const Machine& m, const DoctorNeed&) {
  const std::string policy = or_none(m.kubelet.topology_manager);
  if (policy != "none") return fine(policy);
  return advise(
      policy,
      "topologyManagerPolicy: best-effort, or single-numa-node where every pod fits one, " + kHow);
}

int resource(const std::map<std::string, std::string>& list) {
  const auto it = list.find(kGpu);
  return it == list.end() ? 0 : number_in<int>(it->second).value_or(0);
}

Judged device_plugin(const Machine& m, const DoctorNeed&) {
  const int there = static_cast<int>(m.nvidia->gpus.size());
  const int offered = resource(m.node->allocatable);
  const std::string found = fmt::format("{} of {} GPUs are allocatable", offered, there);
  if (offered >= there) return fine(found);
  return advise(found,
                "look at the device plugin's pod on the node (kubectl logs): it withdraws GPUs "
                "with Xid errors; a "
                "restart offers them again");
}

Judged taint(const Machine& m, const DoctorNeed&) {
  for (const std::string& t : m.node->taints) {
    if (t.find("NoSchedule") != std::string::npos || t.find("NoExecute") != std::string::npos)
      return fine(t);
  }
  return wrong("no taint keeps other pods away",
               "kubectl taint nodes \"$(hostname)\" nvidia.com/gpu=present:NoSchedule",
               "kubectl taint nodes \"$(hostname)\" nvidia.com/gpu=present:NoSchedule-");
}

Judged pressure(const Machine& m, const DoctorNeed&) {
  std::vector<std::string> bad;
  for (const auto& [name, status] : m.node->conditions) {
    const bool good = name == "Ready" ? status == "True" : status == "False";
    if (!good) bad.push_back(fmt::format("{}={}", name, status));
  }
  if (bad.empty()) return fine("Ready, no pressure");
  return advise(fmt::format("{}", fmt::join(bad, ", ")),
                "free what is short: images and model caches on the disk, memory "
                "of other pods; the node takes no new pods, and evicts some");
}

}  // namespace

std::vector<DoctorRule> kubernetes_rules() {
  constexpr auto kFix = DoctorSeverity::kFix;
  constexpr auto kHint = DoctorSeverity::kHint;
  return {
      {"kubelet-cpu-manager", kFix, "Kubernetes nodes", "static",
       "under the default policy CPU limits are quotas, which throttle, and threads move between "
       "cores",
       "kubernetes-resource-managers-docs", has_kubelet, cpu_manager},
      {"kubelet-topology-manager", kFix, "Kubernetes nodes with two NUMA nodes or more", "not none",
       "under none a pod's GPU may hang at one socket and its CPUs and memory at the other",
       "kubernetes-resource-managers-docs",
       [](const Machine& m, const DoctorNeed&) { return m.kubelet.known && m.nodes.size() > 1; },
       topology_manager},
      {"kubernetes-device-plugin", kFix, "Kubernetes nodes with NVIDIA GPUs",
       "every GPU allocatable", "a GPU that is not offered stands idle", "kubernetes-gpu-docs",
       [](const Machine& m, const DoctorNeed&) { return m.node && m.nvidia; }, device_plugin},
      {"kubernetes-gpu-taint", kHint, "Kubernetes nodes with NVIDIA GPUs",
       "a taint that GPU pods tolerate",
       "pods without GPUs fill the node's CPUs and memory, and GPUs stay free",
       "kubernetes-taints-docs",
       [](const Machine& m, const DoctorNeed&) { return m.node && m.nvidia; }, taint},
      {"kubernetes-conditions", kFix, "Kubernetes nodes", "Ready, without pressure",
       "a node under pressure evicts pods, and replicas load their weights again elsewhere",
       "kubernetes-node-status-docs", has_node, pressure},
  };
}

}  // namespace weir::ops
