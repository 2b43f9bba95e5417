// What a configuration file says of a deployment, whatever its form: workloads with containers,
// each with the engine it runs and the words or keys it gives to it. Lines are those of the file,
// from 1; 0 where there is none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ops/deploy/shell.h"

namespace weir::ops {

enum class ConfigForm : uint8_t { kCommand, kDocker, kCompose, kKubernetes, kKeys };

std::string_view form_name(ConfigForm form);  // "kubernetes"

struct EnvironmentValue {
  std::string value;
  int line = 0;
  bool known = true;  // false: from a secret, or expanded elsewhere
};

// A scalar of a file of keys, by its dotted path.
struct KeyValue {
  std::string path;  // "kv_cache_config.dtype", "x[].y"
  std::string value;
  int line = 0;
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap } kind = Kind::kScalar;
};

struct EngineCall {
  std::string engine;           // a name of the snapshots
  int line = 0;                 // of its program, or of the image
  std::vector<Word> arguments;  // after the program
  std::vector<KeyValue> keys;   // of ConfigForm::kKeys
};

struct ContainerSpec {
  std::string name;
  int line = 0;
  std::string image;
  int image_line = 0;
  std::optional<EngineCall> call;
  std::map<std::string, EnvironmentValue> environment;
  bool readiness = false, liveness = false, startup = false;  // probes
  bool healthcheck = false;                                   // of Docker and Compose
  bool memory_limit = false;
  int64_t devices = 0;         // accelerators of the limits; 0: none, or all of them
  bool shared_memory = false;  // more than the container's 64 MiB at /dev/shm
  bool privileged = false;
  bool published = false;  // a port is open beyond this machine
};

struct WorkloadSpec {
  std::string kind;  // "Deployment", "service", "command"
  std::string name;
  std::string name_space;  // of Kubernetes; empty: the file does not say
  int line = 0;
  std::optional<int64_t> replicas;
  int replicas_line = 0;
  std::map<std::string, std::string> labels;  // of its pods
  bool host_ipc = false;
  bool spread = false;  // topologySpreadConstraints or podAntiAffinity
  std::optional<int64_t> grace_s;
  std::vector<ContainerSpec> containers;
};

struct AutoscalerSpec {
  std::string target;  // the workload's name
  std::string signal;  // "cpu", "memory", "queue", "concurrency", "gpu", "other"
  std::string metric;
  int line = 0;  // of the metric
  std::optional<int64_t> min_replicas;
  int min_line = 0;
};

// Of a PodDisruptionBudget, or of a NetworkPolicy for what comes in.
struct PodSelector {
  std::map<std::string, std::string> labels;  // empty: every pod
  int line = 0;
};

struct Deployment {
  std::string file;
  ConfigForm form = ConfigForm::kCommand;
  std::vector<WorkloadSpec> workloads;
  std::vector<AutoscalerSpec> autoscalers;
  std::vector<PodSelector> budgets;
  std::vector<PodSelector> network_policies;
  int prefix_router_line = 0;  // of an InferencePool, whose picker routes by cached prefixes
};

}  // namespace weir::ops
