// weir config kubernetes: a base and an overlay for kustomize, and the same rendered, which is what
// weir config check reads.
#include "ops/config_write/kubernetes.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir::ops {
namespace {

using Y = YamlText;
using Objects = std::vector<KubernetesObject>;

Result<Objects> objects_of(const WriteContext& c, const EnvironmentValues& e, WrittenConfig& out) {
  Objects all;
  WEIR_ASSIGN(KubernetesObject workload, workload_object(c, e, out));
  all.push_back(std::move(workload));
  if (c.snapshot.engine() == "tensorrt-llm") {
    WEIR_ASSIGN(const EngineConfig config, engine_config(c.engine_request(e, true)));
    Y keys;
    for (const ConfigLine& l : config.keys) keys.set_path(l.key, value_of(l).why(l.reason()));
    Y tree = object_head("v1", "ConfigMap", object_name(*c.plan), serving_labels(c, false));
    tree.set("data", Y::map({{"config.yaml", Y::block(keys.dump())}}));
    all.push_back({"configmap.yaml", true, std::move(tree)});
  }
  for (KubernetesObject& o : network_objects(c)) all.push_back(std::move(o));
  for (KubernetesObject& o : fleet_objects(c, e)) all.push_back(std::move(o));
  return all;
}

const KubernetesObject* find_object(const Objects& all, const std::string& file) {
  const auto it = std::find_if(all.begin(), all.end(),
                               [&](const KubernetesObject& o) { return o.file == file; });
  return it == all.end() ? nullptr : &*it;
}

Y kustomization(const std::vector<std::string>& resources,
                const std::vector<std::string>& patches) {
  Y files = Y::list({}), changes = Y::list({});
  for (const std::string& r : resources) files.push(Y::text(r));
  for (const std::string& p : patches) changes.push(Y::map({{"path", Y::text(p)}}));
  Y out = Y::map({{"apiVersion", Y::text("kustomize.config.k8s.io/v1beta1")},
                  {"kind", Y::text("Kustomization")},
                  {"resources", std::move(files)}});
  if (!patches.empty()) out.set("patches", std::move(changes));
  return out;
}

// With what kustomize finds the object that is patched.
Y patch_of(const KubernetesObject& object, const Y& difference) {
  Y out = Y::map({{"apiVersion", *object.tree.find("apiVersion")},
                  {"kind", *object.tree.find("kind")},
                  {"metadata", Y::map({{"name", *object.tree.find("metadata")->find("name")}})}});
  for (const auto& [key, value] : difference.members()) out.set(key, value);
  return out;
}

// A share of the load in each region, so that the others carry it when one is lost.
void write_regions(const WriteContext& c, const Objects& own, WrittenConfig& out) {
  const std::vector<std::string>& regions = c.request->regions;
  const EnvironmentValues& e = c.environment;
  const int count = static_cast<int>(regions.size());
  const int left = std::max(1, count - 1);
  const auto share = [&](int replicas) {
    const int needed = std::max(1, replicas - c.plan->spare);
    return (needed + left - 1) / left + c.plan->spare;
  };
  const std::string why = fmt::format(
      "{} replicas carry the load; {} of {} regions must be enough, {} spare in each [plan]",
      std::max(1, e.replicas - c.plan->spare), left, count, c.plan->spare);
  const KubernetesObject* scaler = find_object(own, "scaledobject.yaml");
  const KubernetesObject& target = scaler == nullptr ? own.front() : *scaler;
  for (const std::string& region : regions) {
    Y spec;
    if (scaler == nullptr) {
      spec.set("replicas", Y::number(share(e.replicas)).why(why));
    } else {
      spec.set("minReplicaCount", Y::number(share(e.least)).why(why));
      spec.set("maxReplicaCount", Y::number(share(e.most)).why(why));
      spec.set("fallback", Y::map({{"failureThreshold", Y::number(3)},
                                   {"replicas", Y::number(share(e.replicas))}}));
    }
    // Beside the environment, not below it: kustomize refuses what contains itself.
    const std::string folder = c.environment.name + "/kubernetes-regions/" + region + "/";
    out.files.push_back(
        {folder + "replicas.yaml", patch_of(target, Y::map({{"spec", std::move(spec)}})).dump()});
    Y k = kustomization({"../../kubernetes"}, {"replicas.yaml"});
    Y region_label =
        Y::map({{"pairs", Y::map({{"topology.kubernetes.io/region", Y::text(region)}})}});
    k.set("labels", Y::list({std::move(region_label)}));
    out.files.push_back({folder + "kustomization.yaml", k.dump()});
  }
}

void write_gateway(const WriteContext& c, WrittenConfig& out) {
  std::vector<std::string> names;
  for (const KubernetesObject& o : gateway_objects(c)) {
    out.files.push_back({c.path("gateway/" + o.file), o.tree.dump()});
    names.push_back(o.file);
  }
  out.files.push_back({c.path("gateway/kustomization.yaml"), kustomization(names, {}).dump()});
}

}  // namespace

Status write_kubernetes(const WriteContext& c, WrittenConfig& out) {
  if (c.profile->engine == "weir") {
    return make_error(ErrorCode::kUnsupported,
                      "weir has no published image: weir config weir writes its file");
  }
  WrittenConfig unused;
  WEIR_ASSIGN(const Objects base, objects_of(c, c.base, unused));
  WEIR_ASSIGN(const Objects own, objects_of(c, c.environment, out));
  std::vector<std::string> shared, resources{"../../base/kubernetes"}, patches;
  for (const KubernetesObject& o : base) {
    out.files.push_back({"base/kubernetes/" + o.file, base_head(c) + o.tree.dump()});
    shared.push_back(o.file);
  }
  out.files.push_back({"base/kubernetes/kustomization.yaml", kustomization(shared, {}).dump()});
  std::string rendered = file_head(c);
  for (const KubernetesObject& o : own) {
    rendered += "---\n" + o.tree.dump();
    const KubernetesObject* under = find_object(base, o.file);
    if (under == nullptr) {
      out.files.push_back({c.path(o.file), file_head(c) + o.tree.dump()});
      out.differences.push_back({o.name(), "", "", "there", ""});
      resources.push_back(o.file);
    } else if (const auto d = yaml_difference(under->tree, o.tree, o.built_in)) {
      const std::string name = "patch-" + o.file;
      out.files.push_back({c.path(name), file_head(c) + patch_of(o, *d).dump()});
      for (EnvironmentDifference& e : list_differences(under->tree, o.tree, o.name()))
        out.differences.push_back(std::move(e));
      patches.push_back(name);
    }
  }
  out.files.push_back({c.path("kustomization.yaml"), kustomization(resources, patches).dump()});
  out.files.push_back({c.path("rendered.yaml"), rendered});
  write_gateway(c, out);
  if (c.environment.name == "prod" && !c.request->regions.empty()) write_regions(c, own, out);
  out.notes.push_back(
      fmt::format("kubectl apply -k {0}/kubernetes (rendered.yaml is what it gives); "
                  "{0}/kubernetes/gateway needs the inference gateway's CRDs and "
                  "its picker {1}-epp",
                  c.environment.name, object_name(*c.plan)));
  if (c.environment.monitored())
    out.notes.emplace_back("podmonitor.yaml needs the Prometheus operator");
  if (c.environment.most > 0) out.notes.emplace_back("scaledobject.yaml needs KEDA");
  if (c.nodes > 1) out.notes.emplace_back("leaderworkerset.yaml needs LeaderWorkerSet");
  return {};
}

}  // namespace weir::ops
