// The workload: a Deployment, or a LeaderWorkerSet where one replica spans machines.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/config_write/kubernetes.h"

namespace weir::ops {
namespace {

using Y = YamlText;

constexpr int kStartPeriod_s = 10, kLeastStart_s = 600;
constexpr int kDrainPause_s = 10;  // until no proxy sends to it any more
constexpr int kSharedMemoryGb = 8;
constexpr int kCoresPerDevice = 4, kLeastCores = 4;
constexpr double kHostGb = 16;  // of the engine's own processes. Hypotheses, all of them.

std::string device_resource(const std::string& accelerator) {
  if (accelerator.starts_with("nvidia-")) return "nvidia.com/gpu";
  if (accelerator.starts_with("amd-instinct") || accelerator.starts_with("amd-mi") ||
      accelerator.starts_with("amd-radeon"))
    return "amd.com/gpu";
  if (accelerator.starts_with("intel-gaudi")) return "habana.ai/gaudi";
  if (accelerator.starts_with("google-")) return "google.com/tpu";
  return "";
}

std::string label_of(const PlanFile& p) { return object_name(p); }

// Of each machine the flags that say its place.
Status add_node_lines(const WriteContext& c, bool leader, std::vector<ConfigLine>& lines) {
  const std::string& engine = c.snapshot.engine();
  const auto has = [&](const char* flag) { return c.snapshot.find_flag(flag).option != nullptr; };
  const std::string why = "set by LeaderWorkerSet in every pod";
  if (engine == "vllm" && has("--nnodes") && has("--master-addr")) {
    lines.push_back({"--master-addr", "$(LWS_LEADER_ADDRESS)", why, "lws-readme"});
    if (leader) return {};
    lines.push_back({"--node-rank", "$(LWS_WORKER_INDEX)", why, "lws-readme"});
    lines.push_back({"--headless", "", "the leader alone answers", "lws-readme"});
    return {};
  }
  if (engine == "sglang") {
    lines.push_back({"--dist-init-addr", "$(LWS_LEADER_ADDRESS):20000", why, "lws-readme"});
    lines.push_back({"--node-rank", "$(LWS_WORKER_INDEX)", why, "lws-readme"});
    return {};
  }
  return make_error(ErrorCode::kUnsupported,
                    "{} {} cannot span {} machines by its own flags: plan at most {} devices a "
                    "replica, or take vLLM 0.22 or later, or SGLang",
                    engine, c.snapshot.version(), c.nodes, c.request->devices_per_node);
}

Y arguments_of(const WriteContext& c, const std::vector<ConfigLine>& lines) {
  Y out = Y::list({});
  for (const ConfigLine& l : lines) {
    if (l.key.empty() || l.value.empty()) {
      out.push(Y::text(l.key + l.value).why(l.reason()));
    } else if (c.profile->glued_values) {
      out.push(Y::text(l.key + "=" + l.value).why(l.reason()));
    } else {
      out.push(Y::text(l.key).why(l.reason()));
      out.push(Y::text(l.value));
    }
  }
  return out;
}

Y environment_of(const WriteContext& c) {
  Y token = Y::map(
      {{"name", Y::text("HF_TOKEN")},
       {"valueFrom",
        Y::map({{"secretKeyRef", Y::map({{"name", Y::text(label_of(*c.plan) + "-hub")},
                                         {"key", Y::text("token")},
                                         {"optional", Y::flag(true)}})
                                     .why("for a model that the hub gives only to who accepted its "
                                          "licence [hypothesis]")}})}});
  return Y::list({Y::map({{"name", Y::text("HF_HOME").why(
                                       "weights go to the volume, not into the container's layer "
                                       "[hypothesis]")},
                          {"value", Y::text("/models")}}),
                  std::move(token)});
}

Y container_of(const WriteContext& c, const std::string& image,
               const std::vector<ConfigLine>& lines, const std::vector<std::string>& program) {
  const ContainerResources resources = container_resources(*c.plan, c.nodes);
  Y command = Y::list({});
  for (const std::string& word : program) command.push(Y::text(word));
  Y mounts = Y::list({Y::map({{"name", Y::text("shm")}, {"mountPath", Y::text("/dev/shm")}}),
                      Y::map({{"name", Y::text("models")}, {"mountPath", Y::text("/models")}})});
  if (c.snapshot.engine() == "tensorrt-llm")
    mounts.push(Y::map({{"name", Y::text("config")}, {"mountPath", Y::text("/config")}}));
  return Y::map(
      {{"name", Y::text("engine")},
       {"image", Y::text(image).why("a version, so that what runs changes only with this file "
                                    "[vllm-release-0-28]")},
       {"command", std::move(command)},
       {"args", arguments_of(c, lines)},
       {"env", environment_of(c)},
       {"ports", Y::list({Y::map(
                     {{"name", Y::text("http")}, {"containerPort", Y::number(c.profile->port)}})})},
       {"resources", resources.tree(true)},
       {"startupProbe",
        probe(c.profile->ready_path, "http", kStartPeriod_s, startup_failures(*c.plan))
            .why(startup_why(*c.plan) + " [kubernetes-probes-docs]")},
       {"readinessProbe",
        probe(c.profile->ready_path, "http", 5, 3)
            .why("no requests while it loads or drains [kubernetes-probes-docs]")},
       {"livenessProbe",
        probe(c.profile->live_path, "http", 10, 6)
            .why("a minute of silence: an engine under load is slow to answer, not dead "
                 "[kubernetes-probes-docs]")},
       {"lifecycle",
        Y::map({{"preStop", Y::map({{"sleep", Y::map({{"seconds", Y::number(kDrainPause_s)}})}})
                                .why("until no proxy sends to it any more [hypothesis]")}})},
       {"securityContext",
        Y::map({{"allowPrivilegeEscalation", Y::flag(false)},
                {"seccompProfile", Y::map({{"type", Y::text("RuntimeDefault")}})}})
            .why("the device plugin gives it what it needs [kubernetes-gpu-docs]")},
       {"volumeMounts", std::move(mounts)}});
}

Y spread_of(const WriteContext& c) {
  Y out = Y::list({});
  for (const char* key : {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}) {
    out.push(Y::map(
        {{"maxSkew", Y::number(1)},
         {"topologyKey", Y::text(key)},
         {"whenUnsatisfiable", Y::text("ScheduleAnyway")},
         {"labelSelector", Y::map({{"matchLabels", labels_tree(serving_labels(c, true))}})}}));
  }
  return out;
}

Y pod_of(const WriteContext& c, Y container, bool leader) {
  const PlanFile& p = *c.plan;
  const double weights = p.memory.weights_gb * p.devices();
  Y volumes = Y::list({
      Y::map({{"name", Y::text("shm")},
              {"emptyDir",
               Y::map({{"medium", Y::text("Memory")},
                       {"sizeLimit", Y::text(fmt::format("{}Gi", kSharedMemoryGb))}})
                   .why("ranks exchange data in /dev/shm, 64 MiB without it [vllm-docker-docs]")}}),
      Y::map(
          {{"name", Y::text("models")},
           {"emptyDir",
            Y::map({{"sizeLimit", Y::text(fmt::format("{:.0f}Gi", std::ceil(weights * 1.2 + 5)))}})
                .why(fmt::format("{:.1f} GB of weights are fetched at each start; a volume that "
                                 "keeps them starts faster [vllm-load-config-docs]",
                                 weights))}}),
  });
  if (c.snapshot.engine() == "tensorrt-llm")
    volumes.push(Y::map(
        {{"name", Y::text("config")}, {"configMap", Y::map({{"name", Y::text(label_of(p))}})}}));
  Y spec = Y::map({{"terminationGracePeriodSeconds",
                    Y::number(longest_answer_s(p) + kDrainPause_s + 20)
                        .why("running answers end first: " + longest_answer_why(p) + " [plan]")},
                   {"automountServiceAccountToken",
                    Y::flag(false).why("it never asks the cluster's API [owasp-llm03-2025]")},
                   {"topologySpreadConstraints",
                    spread_of(c).why("one lost machine or zone takes as few replicas as can be "
                                     "[kubernetes-topology-spread-docs]")},
                   {"containers", Y::list({std::move(container)})},
                   {"volumes", std::move(volumes)}});
  Labels labels = serving_labels(c, leader);
  if (!leader) labels.emplace_back("app.kubernetes.io/part", "worker");
  return Y::map(
      {{"metadata", Y::map({{"labels", labels_tree(labels)}})}, {"spec", std::move(spec)}});
}

}  // namespace

ContainerResources container_resources(const PlanFile& p, int nodes) {
  ContainerResources out;
  out.device = device_resource(p.accelerator);
  const int devices = (p.devices() + nodes - 1) / nodes;
  out.devices = out.device.empty() ? 0 : devices;
  const double weights = p.memory.weights_gb * devices;
  out.cores = std::max(kLeastCores, kCoresPerDevice * devices);
  const double kv = out.device.empty() ? p.memory.kv_gb : 0;
  out.memory_gb = static_cast<int>(std::ceil(kHostGb + kSharedMemoryGb + weights + kv));
  out.memory_why = fmt::format(
      "{:.1f} GB of weights on their way to the devices, {} of shared memory, {:g} for the engine",
      weights, kSharedMemoryGb, kHostGb);
  return out;
}

YamlText ContainerResources::tree(bool with_devices) const {
  const std::string memory = fmt::format("{}Gi", memory_gb);
  Y limits = Y::map({{"memory", Y::text(memory).why(memory_why + " [hypothesis]")}});
  Y requests = Y::map({{"cpu", Y::text(fmt::format("{}", cores))
                                   .why("the scheduler and tokenizer keep the devices busy; no "
                                        "limit, which would throttle them [hypothesis]")},
                       {"memory", Y::text(memory)}});
  if (with_devices && devices > 0) {
    limits.set(device, Y::number(devices).why("devices of a replica on this machine [plan]"));
    requests.set(device, Y::number(devices));
  }
  return Y::map({{"requests", std::move(requests)}, {"limits", std::move(limits)}});
}

YamlText probe(std::string_view path, std::string_view port, int period_s, int failures) {
  return Y::map({{"httpGet", Y::map({{"path", Y::text(path)}, {"port", Y::text(port)}})},
                 {"periodSeconds", Y::number(period_s)},
                 {"timeoutSeconds", Y::number(5)},
                 {"failureThreshold", Y::number(failures)}});
}

int startup_failures(const PlanFile& p) {
  const double cold = p.autoscaling ? p.autoscaling->cold_start_s : 0;
  return static_cast<int>(std::ceil(std::max<double>(kLeastStart_s, 2 * cold) / kStartPeriod_s));
}

std::string startup_why(const PlanFile& p) {
  return p.autoscaling && p.autoscaling->cold_start_s > 0
             ? fmt::format("twice the plan's cold start of {:g} s, 10 minutes at least",
                           p.autoscaling->cold_start_s)
             : "10 minutes to fetch and load the weights; measure it";
}

Result<KubernetesObject> workload_object(const WriteContext& c, const EnvironmentValues& e,
                                         WrittenConfig& out) {
  WEIR_ASSIGN(const std::string image, engine_image(c));
  WEIR_ASSIGN(EngineConfig config, engine_config(c.engine_request(e, true)));
  out.left_out = config.left_out;
  const std::string name = label_of(*c.plan);
  const Labels labels = serving_labels(c, false);
  Y spec;
  if (e.most == 0)
    spec.set("replicas",
             Y::number(e.replicas).why(fmt::format("{} [{}]", e.replicas_why, e.replicas_source)));
  if (c.nodes == 1) {
    spec.set("selector", Y::map({{"matchLabels", labels_tree(labels)}}));
    spec.set("progressDeadlineSeconds",
             Y::number((startup_failures(*c.plan) + 6) * kStartPeriod_s)
                 .why("as long as a start may take [kubernetes-probes-docs]"));
    spec.set("strategy",
             Y::map({{"rollingUpdate",
                      Y::map({{"maxUnavailable", Y::number(1)}, {"maxSurge", Y::number(0)}})
                          .why("devices for one more are rarely free; the plan has spare replicas "
                               "[hypothesis]")}}));
    spec.set("template", pod_of(c, container_of(c, image, config.flags, config.program), true));
    Y tree = object_head("apps/v1", "Deployment", name, labels);
    return KubernetesObject{"deployment.yaml", true, std::move(tree.set("spec", std::move(spec)))};
  }
  std::vector<ConfigLine> leader = config.flags, worker = config.flags;
  WEIR_TRY(add_node_lines(c, true, leader));
  WEIR_TRY(add_node_lines(c, false, worker));
  Y group = Y::map(
      {{"size",
        Y::number(c.nodes).why(fmt::format("{} devices of a replica, {} a machine [plan]",
                                           c.plan->devices(), c.request->devices_per_node))},
       {"restartPolicy", Y::text("RecreateGroupOnPodRestart")
                             .why("a group that lost one is of no use [lws-readme]")},
       {"leaderTemplate", pod_of(c, container_of(c, image, leader, config.program), true)},
       {"workerTemplate", pod_of(c, container_of(c, image, worker, config.program), false)}});
  spec.set("leaderWorkerTemplate", std::move(group));
  Y tree = object_head("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", name, labels);
  return KubernetesObject{"leaderworkerset.yaml", false,
                          std::move(tree.set("spec", std::move(spec)))};
}

}  // namespace weir::ops
