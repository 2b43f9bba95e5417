// Parts of Kubernetes objects that weir config writes, as trees.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/config_write/write.h"
#include "ops/config_write/yaml_text.h"
#include "ops/plan/plan_file.h"

namespace weir::ops {

// Of a pod.
struct ContainerResources {
  std::string device;  // "nvidia.com/gpu"; empty: a CPU
  int devices = 0;
  int cores = 0, memory_gb = 0;
  std::string memory_why;

  YamlText tree(bool with_devices) const;
};
ContainerResources container_resources(const PlanFile& plan, int nodes);

YamlText probe(std::string_view path, std::string_view port, int period_s, int failures);
// Of a startup probe every 10 s: twice the plan's cold start, and 10 minutes at least.
int startup_failures(const PlanFile& plan);
std::string startup_why(const PlanFile& plan);

// Plugins of the inference gateway's endpoint picker.
YamlText picker_config(const PlanFile& plan);

// One object and the file it stands in.
struct KubernetesObject {
  std::string file;      // "deployment.yaml"
  bool built_in = true;  // else kustomize replaces lists where it merges those of built-in kinds
  YamlText tree;

  std::string name() const;  // "Deployment/qwen"
};

using Labels = std::vector<std::pair<std::string, std::string>>;
// Of the pods that serve; leader: of those alone that answer, where a replica spans machines.
Labels serving_labels(const WriteContext& context, bool leader);
YamlText labels_tree(const Labels& labels);
YamlText object_head(std::string_view api, std::string_view kind, const std::string& name,
                     const Labels& labels);

// Deployment, or LeaderWorkerSet over several machines. Errors: those of engine_config and
// engine_image; kUnsupported where the engine cannot span machines in one.
Result<KubernetesObject> workload_object(const WriteContext& context,
                                         const EnvironmentValues& values, WrittenConfig& out);
// Service and NetworkPolicy.
std::vector<KubernetesObject> network_objects(const WriteContext& context);
// PodDisruptionBudget, PodMonitor and ScaledObject, as far as the environment has them.
std::vector<KubernetesObject> fleet_objects(const WriteContext& context,
                                            const EnvironmentValues& values);
// InferencePool and HTTPRoute.
std::vector<KubernetesObject> gateway_objects(const WriteContext& context);

}  // namespace weir::ops
