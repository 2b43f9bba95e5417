#include <algorithm>
#include <array>

#include "ops/deploy/forms.h"

namespace weir::ops {
namespace {

using config::Node;

std::map<std::string, std::string> labels_of(const Node* node) {
  std::map<std::string, std::string> out;
  if (node == nullptr) return out;
  for (const config::Member& m : node->members) out[m.key] = m.value.text;
  return out;
}

void read_environment(const Node* list, ContainerSpec& c) {
  if (list == nullptr) return;
  for (const Node& item : list->items) {
    const Node* value = item.find("value");
    const bool known = value != nullptr && value->text.find("$(") == std::string::npos;
    c.environment[text_at(item, "name")] = {value == nullptr ? "" : value->text, item.line, known};
  }
}

// Accelerators of the limits: nvidia.com/gpu, amd.com/gpu, gpu.intel.com/i915 and the like.
int64_t devices_of(const Node& container) {
  const Node* limits = at_path(container, "resources.limits");
  int64_t count = 0;
  if (limits == nullptr) return 0;
  for (const config::Member& m : limits->members) {
    if (m.key.find('/') == std::string::npos || m.key.starts_with("hugepages")) continue;
    count += integer_of(&m.value).value_or(0);
  }
  return count;
}

// Whether a volume with more than the default is mounted at /dev/shm.
bool mounts_shared_memory(const Node& container) {
  const Node* mounts = container.find("volumeMounts");
  return mounts != nullptr &&
         std::any_of(mounts->items.begin(), mounts->items.end(),
                     [](const Node& m) { return text_at(m, "mountPath").starts_with("/dev/shm"); });
}

Status read_container(const ConfigText& source, const Node& n, WorkloadSpec& w) {
  ContainerSpec c;
  c.name = text_at(n, "name");
  c.line = n.line;
  if (const Node* image = n.find("image")) {
    c.image = image->text;
    c.image_line = image->line;
  }
  read_environment(n.find("env"), c);
  c.readiness = n.find("readinessProbe") != nullptr;
  c.liveness = n.find("livenessProbe") != nullptr;
  c.startup = n.find("startupProbe") != nullptr;
  c.memory_limit = at_path(n, "resources.limits.memory") != nullptr;
  c.devices = devices_of(n);
  c.shared_memory = mounts_shared_memory(n) || w.host_ipc;
  c.privileged = text_at(n, "securityContext.privileged") == "true";
  c.published = true;  // in the cluster
  WEIR_ASSIGN(const auto command, words_of(source, n.find("command")));
  WEIR_ASSIGN(const auto arguments, words_of(source, n.find("args")));
  WEIR_TRY(set_call(source, command, arguments, c));
  w.containers.push_back(std::move(c));
  return {};
}

Status read_pod(const ConfigText& source, const Node& spec, WorkloadSpec& w) {
  w.host_ipc = text_at(spec, "hostIPC") == "true";
  w.spread = spec.find("topologySpreadConstraints") != nullptr ||
             at_path(spec, "affinity.podAntiAffinity") != nullptr;
  w.grace_s = integer_of(spec.find("terminationGracePeriodSeconds"));
  const Node* containers = spec.find("containers");
  if (containers == nullptr) return {};
  for (const Node& c : containers->items) WEIR_TRY(read_container(source, c, w));
  return {};
}

Status read_workload(const ConfigText& source, const Node& d, Deployment& out) {
  WorkloadSpec w;
  w.kind = text_at(d, "kind");
  w.name = text_at(d, "metadata.name");
  w.name_space = text_at(d, "metadata.namespace");
  w.line = d.line;
  const Node* replicas = at_path(d, "spec.replicas");
  w.replicas = integer_of(replicas);
  if (w.replicas) w.replicas_line = replicas->line;
  const bool scaled = w.kind == "Deployment" || w.kind == "StatefulSet" || w.kind == "ReplicaSet" ||
                      w.kind == "LeaderWorkerSet";
  if (replicas == nullptr && scaled) w.replicas = 1;  // the default of Kubernetes
  bool any = false;
  for (const std::string_view path :
       {"spec.template", "spec.jobTemplate.spec.template",
        "spec.leaderWorkerTemplate.leaderTemplate", "spec.leaderWorkerTemplate.workerTemplate"}) {
    const Node* pod = at_path(d, path);
    const Node* spec = pod == nullptr ? nullptr : pod->find("spec");
    if (spec == nullptr) continue;
    any = true;
    if (w.labels.empty()) w.labels = labels_of(at_path(*pod, "metadata.labels"));
    WEIR_TRY(read_pod(source, *spec, w));
  }
  if (!any && w.kind == "Pod") {
    w.labels = labels_of(at_path(d, "metadata.labels"));
    if (const Node* spec = d.find("spec")) WEIR_TRY(read_pod(source, *spec, w));
  }
  // What its controller adds to the pods of a group; the leader is the worker with the index 0.
  if (w.kind == "LeaderWorkerSet") {
    w.labels["leaderworkerset.sigs.k8s.io/name"] = w.name;
    w.labels["leaderworkerset.sigs.k8s.io/worker-index"] = "0";
  }
  if (!w.containers.empty()) out.workloads.push_back(std::move(w));
  return {};
}

// A policy that says nothing of egress alone holds for what comes in.
void read_network_policy(const Node& d, Deployment& out) {
  const Node* types = at_path(d, "spec.policyTypes");
  const bool ingress =
      types == nullptr || std::any_of(types->items.begin(), types->items.end(),
                                      [](const Node& t) { return t.text == "Ingress"; });
  if (!ingress) return;
  out.network_policies.push_back({labels_of(at_path(d, "spec.podSelector.matchLabels")), d.line});
}

// What a metric's name measures.
std::string signal_of(std::string metric) {
  std::transform(metric.begin(), metric.end(), metric.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto has = [&](std::string_view part) { return metric.find(part) != std::string::npos; };
  if (metric == "cpu" || metric == "memory") return metric;
  if (has("waiting") || has("queue") || has("pending")) return "queue";
  if (has("running") || has("concurren") || has("inflight") || has("active")) return "concurrency";
  if (has("gpu") || has("dcgm")) return "gpu";
  if (has("latency") || has("ttft") || has("time_to_first")) return "slo";
  return "other";
}

void read_hpa(const Node& d, Deployment& out) {
  AutoscalerSpec a;
  a.target = text_at(d, "spec.scaleTargetRef.name");
  a.line = d.line;
  a.min_replicas = integer_of(at_path(d, "spec.minReplicas"));
  if (a.min_replicas) a.min_line = at_path(d, "spec.minReplicas")->line;
  const Node* old = at_path(d, "spec.targetCPUUtilizationPercentage");
  if (old != nullptr) {
    a.signal = a.metric = "cpu";
    a.line = old->line;
    out.autoscalers.push_back(a);
  }
  const Node* metrics = at_path(d, "spec.metrics");
  if (metrics == nullptr) return;
  for (const Node& m : metrics->items) {
    a.line = m.line;
    for (const std::string_view path :
         {"resource.name", "containerResource.name", "pods.metric.name", "external.metric.name",
          "object.metric.name"}) {
      if (const std::string name = text_at(m, path); !name.empty()) a.metric = name;
    }
    a.signal = signal_of(a.metric);
    out.autoscalers.push_back(a);
  }
}

void read_scaled_object(const Node& d, Deployment& out) {
  const Node* triggers = at_path(d, "spec.triggers");
  if (triggers == nullptr) return;
  for (const Node& t : triggers->items) {
    AutoscalerSpec a;
    a.target = text_at(d, "spec.scaleTargetRef.name");
    a.line = t.line;
    const Node* least = at_path(d, "spec.minReplicaCount");
    a.min_replicas = least == nullptr ? 0 : integer_of(least);  // KEDA's default is zero
    a.min_line = least == nullptr ? d.line : least->line;
    const std::string type = text_at(t, "type");
    a.metric = type == "cpu" || type == "memory"
                   ? type
                   : text_at(t, "metadata.query") + text_at(t, "metadata.metricName");
    a.signal = signal_of(a.metric);
    out.autoscalers.push_back(std::move(a));
  }
}

Status read_list(const ConfigText& source, const Node& d, Deployment& out) {
  const Node* items = d.find("items");
  if (items == nullptr) return {};
  for (const Node& item : items->items) {
    if (text_at(item, "kind") == "List") continue;
    WEIR_TRY(read_kubernetes(source, item, out));
  }
  return {};
}

}  // namespace

Status read_kubernetes(const ConfigText& source, const Node& document, Deployment& out) {
  constexpr std::array<std::string_view, 8> kWorkloads{
      "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet",
      "Pod",        "Job",         "CronJob",   "LeaderWorkerSet"};
  const std::string kind = text_at(document, "kind");
  if (std::find(kWorkloads.begin(), kWorkloads.end(), kind) != kWorkloads.end())
    return read_workload(source, document, out);
  if (kind == "HorizontalPodAutoscaler") read_hpa(document, out);
  if (kind == "ScaledObject") read_scaled_object(document, out);
  if (kind == "NetworkPolicy") read_network_policy(document, out);
  if (kind == "InferencePool") out.prefix_router_line = document.line;
  if (kind == "PodDisruptionBudget") {
    out.budgets.push_back(
        {labels_of(at_path(document, "spec.selector.matchLabels")), document.line});
  }
  return kind == "List" ? read_list(source, document, out) : Status();
}

}  // namespace weir::ops
