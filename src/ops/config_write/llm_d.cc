// weir config llm-d: values of the chart llm-d-modelservice, base and one file over it as helm's -f
// takes them, and the endpoint picker's plugins.
#include <fmt/format.h>

#include <cmath>

#include "ops/config_write/kubernetes.h"
#include "ops/config_write/worker_lines.h"
#include "ops/config_write/write.h"
#include "ops/config_write/yaml_text.h"
#include "ops/engines/catalog.h"

namespace weir::ops {
namespace {

using Y = YamlText;

std::string chart_accelerator(const PlanFile& p) {
  if (p.accelerator.starts_with("amd-")) return "amd";
  if (p.accelerator.starts_with("intel-gaudi")) return "intel-gaudi";
  if (p.accelerator.starts_with("intel-")) return "intel-xe";
  if (p.accelerator.starts_with("google-")) return "google";
  return "nvidia";
}

// Sets what the chart's values have; a key that they have not got is said.
class Values {
 public:
  Values(const EngineSnapshot& snapshot, WrittenConfig& out) : snapshot_(snapshot), out_(out) {}
  void set(std::string_view key, Y value, const std::string& why, std::string_view source) {
    if (snapshot_.find_key(key) == nullptr) {
      out_.left_out.push_back(
          fmt::format("{}: not in {} {}; {}", key, snapshot_.engine(), snapshot_.version(), why));
      return;
    }
    tree_.set_path(key, std::move(value).why(fmt::format("{} [{}]", why, source)));
  }
  Y take() { return std::move(tree_); }

 private:
  const EngineSnapshot& snapshot_;
  WrittenConfig& out_;
  Y tree_;
};

Result<Y> container(const WriteContext& c, const EnvironmentValues& e, const std::string& image,
                    bool transfer, WrittenConfig& out) {
  WEIR_ASSIGN(WorkerLines worker, vllm_worker_lines(c, e, image));
  out.left_out = worker.left_out;
  if (transfer) worker.lines.push_back(transfer_line());
  Y arguments = Y::list({});
  for (const ConfigLine& l : worker.lines) {
    // The chart adds it itself, from parallelism.tensor.
    if (l.key == "--tensor-parallel-size") continue;
    arguments.push(Y::text(l.key + (l.value.empty() ? "" : "=" + l.value)).why(l.reason()));
  }
  const ContainerResources resources = container_resources(*c.plan, c.nodes);
  return Y::map(
      {{"name", Y::text("vllm")},
       {"image", Y::text(image).why("a version, so that what runs changes only with this file "
                                    "[vllm-release-0-28]")},
       {"modelCommand", Y::text("vllmServe")},
       {"args", std::move(arguments)},
       {"ports",
        Y::list({Y::map({{"name", Y::text("vllm")}, {"containerPort", Y::number(8000)}})})},
       {"resources", resources.tree(false)},
       {"mountModelVolume", Y::flag(true)},
       {"startupProbe", probe("/health", "vllm", 10, startup_failures(*c.plan))
                            .why(startup_why(*c.plan) + " [kubernetes-probes-docs]")},
       {"readinessProbe", probe("/health", "vllm", 5, 3)},
       {"livenessProbe", probe("/health", "vllm", 10, 6)},
       {"volumeMounts",
        Y::list({Y::map({{"name", Y::text("shm")}, {"mountPath", Y::text("/dev/shm")}})})}});
}

Result<Y> values_of(const WriteContext& c, const EnvironmentValues& e, WrittenConfig& out) {
  const PlanFile& p = *c.plan;
  const std::string model = model_reference(p);
  WEIR_ASSIGN(const EngineSnapshot vllm, engine_snapshot("vllm"));
  std::string image = c.request->image;
  if (image.empty()) image = "vllm/vllm-openai:v" + vllm.version();
  WEIR_TRY(check_image(image, "--image"));
  Values v(c.snapshot, out);
  const std::string plan(kFromPlan);
  const double weights = p.memory.weights_gb * p.devices();
  v.set("multinode", Y::flag(c.nodes > 1), fmt::format("machines of a replica: {}", c.nodes), plan);
  v.set("modelArtifacts.name", Y::text(model), "the plan's model, " + p.precision, plan);
  v.set("modelArtifacts.uri", Y::text("hf://" + model), "loaded from the hub; pvc:// is faster",
        "vllm-load-config-docs");
  v.set("modelArtifacts.size", Y::text(fmt::format("{:.0f}Gi", std::ceil(weights * 1.2 + 5))),
        fmt::format("{:.1f} GB of weights and room to load them", weights), kHypothesis);
  v.set("accelerator.type", Y::text(chart_accelerator(p)), p.accelerator_name, plan);
  const bool split = p.disaggregation.has_value();
  v.set("routing.proxy.enabled", Y::flag(split),
        split ? "it sends prefill and decode to their workers" : "only disaggregation needs it",
        "llm-d-pd-guide");
  if (split) {
    if (c.request->proxy_image.empty())
      return make_error(ErrorCode::kUsage,
                        "the plan has prefill and decode apart: name the routing sidecar of your "
                        "llm-d release with --proxy-image, by its version (the chart's own default "
                        "is :latest)");
    WEIR_TRY(check_image(c.request->proxy_image, "--proxy-image"));
    v.set("routing.proxy.image", Y::text(c.request->proxy_image),
          "a version, where the chart says latest", "vllm-release-0-28");
  }
  const auto side = [&](const std::string& name, int replicas) -> Status {
    v.set(name + ".create", Y::flag(replicas > 0), "as planned", plan);
    if (replicas == 0) return {};
    v.set(name + ".replicas", Y::number(replicas), split ? e.split->why : e.replicas_why,
          split ? e.split->source : e.replicas_source);
    v.set(name + ".parallelism.tensor", Y::number(p.tensor_parallel),
          fmt::format("{:.1f} GB of weights a device", p.memory.weights_gb), plan);
    v.set(name + ".monitoring.podmonitor.enabled", Y::flag(true), "queue and latencies to alert on",
          plan);
    v.set(name + ".monitoring.podmonitor.portName", Y::text("vllm"), "where /metrics is", plan);
    WEIR_ASSIGN(Y engine, container(c, e, image, split, out));
    v.set(name + ".containers", Y::list({std::move(engine)}), "the engine", plan);
    v.set(name + ".volumes",
          Y::list({Y::map(
              {{"name", Y::text("shm")}, {"emptyDir", Y::map({{"medium", Y::text("Memory")}})}})}),
          "ranks exchange data in /dev/shm", "vllm-docker-docs");
    return {};
  };
  WEIR_TRY(side("decode", split ? e.split->decode : e.replicas));
  WEIR_TRY(side("prefill", split ? e.split->prefill : 0));
  return v.take();
}

Y plugin(const char* type, const std::string& why) {
  Y out = Y::map({{"type", Y::text(type).why(why)}});
  return out;
}

Y reference(const char* name, int weight) {
  Y out = Y::map({{"pluginRef", Y::text(name)}});
  if (weight > 0) out.set("weight", Y::number(weight));
  return out;
}

Y profile(const char* name, const char* filter, bool by_prefix) {
  Y plugins = Y::list({});
  if (filter != nullptr) plugins.push(reference(filter, 0));
  if (by_prefix) plugins.push(reference("prefix-cache-scorer", 2));
  plugins.push(reference("queue-scorer", 1));
  plugins.push(reference("kv-cache-utilization-scorer", 1));
  plugins.push(reference("max-score-picker", 0));
  return Y::map({{"name", Y::text(name)}, {"plugins", std::move(plugins)}});
}

}  // namespace

YamlText picker_config(const PlanFile& p) {
  const bool split = p.disaggregation.has_value();
  const bool by_prefix = p.prefix_cache && (p.workload.shared_share > 0 || split);
  Y plugins = Y::list({});
  plugins.push(plugin("queue-scorer", "fewer waiting requests [llm-d-flow-control-docs]"));
  plugins.push(plugin("kv-cache-utilization-scorer", "more free KV cache [hypothesis]"));
  if (by_prefix)
    plugins.push(plugin("prefix-cache-scorer",
                        fmt::format("where the prefix is cached: {:.0f} % of a prompt is shared "
                                    "[llm-d-kvcache-wins-blog]",
                                    100 * p.workload.shared_share)));
  plugins.push(plugin("max-score-picker", "the best of the sum [hypothesis]"));
  Y profiles = Y::list({});
  if (split) {
    plugins.push(plugin("prefill-filter", "workers by their role [llm-d-pd-guide]"));
    plugins.push(plugin("decode-filter", "workers by their role [llm-d-pd-guide]"));
    Y decider = plugin("prefix-based-pd-decider",
                       "a prompt that is nearly all cached is prefilled where it decodes "
                       "[hypothesis]");
    decider.set("parameters", Y::map({{"nonCachedTokens", Y::number(512)}}));
    plugins.push(std::move(decider));
    Y handler = plugin("disagg-profile-handler", "prefill first, then decode [llm-d-pd-guide]");
    handler.set("parameters",
                Y::map({{"deciders", Y::map({{"prefill", Y::text("prefix-based-pd-decider")}})}}));
    plugins.push(std::move(handler));
    profiles.push(profile("prefill", "prefill-filter", by_prefix));
    profiles.push(profile("decode", "decode-filter", by_prefix));
  } else {
    plugins.push(plugin("single-profile-handler", "one kind of worker [plan]"));
    profiles.push(profile("default", nullptr, by_prefix));
  }
  return Y::map({{"apiVersion", Y::text("inference.networking.x-k8s.io/v1alpha1")},
                 {"kind", Y::text("EndpointPickerConfig")},
                 {"plugins", std::move(plugins)},
                 {"schedulingProfiles", std::move(profiles)}});
}

Status write_llm_d(const WriteContext& c, WrittenConfig& out) {
  WrittenConfig unused;
  WEIR_ASSIGN(const Y base, values_of(c, c.base, unused));
  WEIR_ASSIGN(const Y own, values_of(c, c.environment, out));
  const std::string shared = "base/llm-d/values.yaml";
  out.files.push_back({shared, base_head(c) + base.dump()});
  out.files.push_back({"base/llm-d/picker.yaml", base_head(c) + picker_config(*c.plan).dump()});
  const auto difference = yaml_difference(base, own, false);
  out.files.push_back(
      {c.path("values.yaml"), file_head(c) + (difference ? difference->dump() : "{}\n")});
  out.differences = list_differences(base, own, c.path("values.yaml"));
  out.notes.push_back(fmt::format(
      "helm upgrade --install {} llm-d-modelservice -f {} -f {}; picker.yaml goes to the inference "
      "pool's chart as its plugins",
      object_name(*c.plan), shared, c.path("values.yaml")));
  return {};
}

}  // namespace weir::ops
