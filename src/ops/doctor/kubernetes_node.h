// A Kubernetes node as `kubectl describe node` and the kubelet's configuration show it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct KubernetesNode {
  std::vector<std::string> taints;                // "nvidia.com/gpu=present:NoSchedule"
  std::map<std::string, std::string> conditions;  // "MemoryPressure" -> "False"
  std::map<std::string, std::string> capacity;    // "nvidia.com/gpu" -> "8"
  std::map<std::string, std::string> allocatable;
};

// Error kCorrupt or kLimit (1 MiB, 10,000 lines). Text that is no node's is an error.
Result<KubernetesNode> parse_kubernetes_node(std::string_view text);

// Empty fields: not set, the kubelet's default ("none").
struct KubeletConfig {
  bool known = false;
  std::string cpu_manager;
  std::string topology_manager;
  std::string memory_manager;
};

// /var/lib/kubelet/config.yaml. Errors: those of config::parse_yaml.
Result<KubeletConfig> parse_kubelet_config(std::string_view yaml);

}  // namespace weir::ops
