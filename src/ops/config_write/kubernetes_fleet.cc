// What stands around the pods: Service, NetworkPolicy, PodDisruptionBudget, ScaledObject, and the
// inference gateway's pool and route (inference.networking.k8s.io/v1,
// gateway.networking.k8s.io/v1).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/config_write/kubernetes.h"
#include "ops/config_write/metric_names.h"

namespace weir::ops {
namespace {

using Y = YamlText;

constexpr int kPickerPort = 9002;      // that the extension's charts give it
constexpr int kLeastCalm_s = 300;      // of the autoscaler before it takes replicas away
constexpr double kQueuedShare = 0.25;  // of what may wait; more is too late. A hypothesis.

Y from_pods(const char* label, const char* value) {
  return Y::map({{"podSelector", Y::map({{"matchLabels", Y::map({{label, Y::text(value)}})}})}});
}

Y tcp(int port) { return Y::map({{"protocol", Y::text("TCP")}, {"port", Y::number(port)}}); }

KubernetesObject service(const WriteContext& c) {
  Y ports = Y::list({Y::map({{"name", Y::text("http")},
                             {"port", Y::number(c.profile->port)},
                             {"targetPort", Y::text("http")}})});
  Y tree = object_head("v1", "Service", object_name(*c.plan), serving_labels(c, false));
  tree.set("spec", Y::map({{"selector", labels_tree(serving_labels(c, true))},
                           {"ports", std::move(ports)}}));
  return {"service.yaml", true, std::move(tree)};
}

KubernetesObject network_policy(const WriteContext& c) {
  Y monitoring = Y::map(
      {{"namespaceSelector",
        Y::map({{"matchLabels", Y::map({{"kubernetes.io/metadata.name", Y::text("monitoring")}})}})
            .why("Prometheus [hypothesis]")}});
  Y ingress =
      Y::list({Y::map({{"from", Y::list({from_pods("app.kubernetes.io/component", "gateway"),
                                         std::move(monitoring)})},
                       {"ports", Y::list({tcp(c.profile->port)})}})});
  if (c.nodes > 1) {
    Y own =
        Y::map({{"podSelector", Y::map({{"matchLabels", labels_tree(serving_labels(c, false))}})}});
    ingress.push(Y::map({{"from", Y::list({std::move(own)})
                                      .why("the machines of a replica talk on ports of their own "
                                           "[vllm-security-docs]")}}));
  }
  Y tree = object_head("networking.k8s.io/v1", "NetworkPolicy", object_name(*c.plan),
                       serving_labels(c, false));
  Y spec =
      Y::map({{"podSelector", Y::map({{"matchLabels", labels_tree(serving_labels(c, false))}})},
              {"policyTypes", Y::list({Y::text("Ingress")})},
              {"ingress", std::move(ingress).why(
                              "only the gateway and Prometheus reach the engine, whose key guards "
                              "not all of its paths [vllm-security-docs]")}});
  tree.set("spec", std::move(spec));
  return {"networkpolicy.yaml", true, std::move(tree)};
}

KubernetesObject budget(const WriteContext& c) {
  Y tree = object_head("policy/v1", "PodDisruptionBudget", object_name(*c.plan),
                       serving_labels(c, false));
  tree.set("spec",
           Y::map({{"maxUnavailable",
                    Y::number(1).why("a drain takes one at a time; the plan has one spare "
                                     "[kubernetes-disruptions-docs]")},
                   {"selector", Y::map({{"matchLabels", labels_tree(serving_labels(c, true))}})}}));
  return {"poddisruptionbudget.yaml", true, std::move(tree)};
}

KubernetesObject scaled_object(const WriteContext& c, const EnvironmentValues& e) {
  const PlanFile& p = *c.plan;
  const std::string name = object_name(p);
  const std::string waiting = metric_name(c.profile->engine, "observed.waiting");
  const double asked = p.autoscaling ? p.autoscaling->queued_per_replica : 0;
  const double queued =
      asked > 0
          ? asked
          : std::max(1.0, kQueuedShare * static_cast<double>(std::max<int64_t>(1, e.max_queued)));
  const double cold = p.autoscaling ? p.autoscaling->cold_start_s : 0;
  Y trigger = Y::map(
      {{"type", Y::text("prometheus")},
       {"metadata",
        Y::map({{"serverAddress", Y::text("http://prometheus.monitoring.svc:9090")
                                      .why("where Prometheus is [hypothesis]")},
                {"query", Y::text(fmt::format("sum({}{{job=\"{}\"}})", waiting, name))
                              .why("requests that wait, not the CPU of the host "
                                   "[kubernetes-hpa-docs]")},
                {"threshold", Y::text(fmt::format("{:g}", std::max(1.0, queued)))
                                  .why(asked > 0 ? "requests waiting for each replica [plan]"
                                                 : "a quarter of what may wait [hypothesis]")},
                {"ignoreNullValues",
                 Y::text("false").why("no series is no empty queue: the fallback below, not the "
                                      "least replicas [keda-prometheus-scaler-docs]")}})}});
  const int calm = std::max(kLeastCalm_s, static_cast<int>(std::ceil(2 * cold)));
  Y behaviour = Y::map(
      {{"scaleDown",
        Y::map({{"stabilizationWindowSeconds",
                 Y::number(calm).why(fmt::format(
                     "longer than the cold start of {:g} s, so that replicas are not taken and "
                     "fetched again [plan]",
                     cold))}})}});
  Y tree = object_head("keda.sh/v1alpha1", "ScaledObject", name, serving_labels(c, false));
  const bool group = c.nodes > 1;
  tree.set(
      "spec",
      Y::map(
          {{"scaleTargetRef",
            Y::map({{"apiVersion", Y::text(group ? "leaderworkerset.x-k8s.io/v1" : "apps/v1")},
                    {"kind", Y::text(group ? "LeaderWorkerSet" : "Deployment")},
                    {"name", Y::text(name)}})},
           {"minReplicaCount", Y::number(e.least).why("the plan's least, spare ones too [plan]")},
           {"maxReplicaCount", Y::number(e.most).why("the plan's most [plan]")},
           {"pollingInterval", Y::number(15).why("as often as it is scraped [hypothesis]")},
           {"fallback",
            Y::map({{"failureThreshold", Y::number(3)}, {"replicas", Y::number(e.replicas)}})
                .why("without metrics as many as the plan has "
                     "[keda-scaledobject-docs]")},
           {"advanced", Y::map({{"horizontalPodAutoscalerConfig",
                                 Y::map({{"behavior", std::move(behaviour)}})}})},
           {"triggers", Y::list({std::move(trigger)})}}));
  return {"scaledobject.yaml", false, std::move(tree)};
}

// The label that jobLabel names becomes the series' job, which queries, rules and boards ask for.
KubernetesObject pod_monitor(const WriteContext& c) {
  Y endpoint = Y::map({{"port", Y::text("http")},
                       {"path", Y::text(c.profile->metrics_path)},
                       {"interval", Y::text("15s").why("the autoscaler looks as often "
                                                       "[hypothesis]")}});
  Y tree = object_head("monitoring.coreos.com/v1", "PodMonitor", object_name(*c.plan),
                       serving_labels(c, false));
  tree.set("spec",
           Y::map({{"jobLabel", Y::text(serving_labels(c, false).front().first)
                                    .why("its value is the job that the autoscaler, rules and "
                                         "boards ask for [plan]")},
                   {"selector", Y::map({{"matchLabels", labels_tree(serving_labels(c, true))}})},
                   {"podMetricsEndpoints", Y::list({std::move(endpoint)})}}));
  return {"podmonitor.yaml", false, std::move(tree)};
}

}  // namespace

std::string KubernetesObject::name() const {
  const YamlText* kind = tree.find("kind");
  const YamlText* meta = tree.find("metadata");
  const YamlText* own = meta == nullptr ? nullptr : meta->find("name");
  return (kind == nullptr ? "" : kind->scalar()) + "/" + (own == nullptr ? "" : own->scalar());
}

Labels serving_labels(const WriteContext& c, bool leader) {
  Labels out{{"app.kubernetes.io/name", object_name(*c.plan)},
             {"app.kubernetes.io/component", "engine"}};
  if (leader && c.nodes > 1) out.emplace_back("app.kubernetes.io/part", "leader");
  return out;
}

YamlText labels_tree(const Labels& labels) {
  YamlText out;
  for (const auto& [key, value] : labels) out.set(key, YamlText::text(value));
  return out;
}

YamlText object_head(std::string_view api, std::string_view kind, const std::string& name,
                     const Labels& labels) {
  return Y::map({{"apiVersion", Y::text(api)},
                 {"kind", Y::text(kind)},
                 {"metadata", Y::map({{"name", Y::text(name)}, {"labels", labels_tree(labels)}})}});
}

std::vector<KubernetesObject> network_objects(const WriteContext& c) {
  std::vector<KubernetesObject> out;
  out.push_back(service(c));
  out.push_back(network_policy(c));
  return out;
}

std::vector<KubernetesObject> fleet_objects(const WriteContext& c, const EnvironmentValues& e) {
  std::vector<KubernetesObject> out;
  if (e.budget) out.push_back(budget(c));
  if (e.monitored()) out.push_back(pod_monitor(c));
  if (e.most > 0) out.push_back(scaled_object(c, e));
  return out;
}

std::vector<KubernetesObject> gateway_objects(const WriteContext& c) {
  const std::string name = object_name(*c.plan);
  Y pool = object_head("inference.networking.k8s.io/v1", "InferencePool", name,
                       serving_labels(c, false));
  Y picker = Y::map({{"name", Y::text(name + "-epp")},
                     {"port", Y::map({{"number", Y::number(kPickerPort)}})},
                     {"failureMode", Y::text("FailOpen")
                                         .why("without the picker any replica answers, which "
                                              "costs cached prefixes, not requests "
                                              "[gateway-api-inference-extension]")}});
  pool.set("spec",
           Y::map({{"selector", Y::map({{"matchLabels", labels_tree(serving_labels(c, true))}})},
                   {"targetPorts", Y::list({Y::map({{"number", Y::number(c.profile->port)}})})},
                   {"endpointPickerRef", std::move(picker)}}));
  Y backend = Y::map({{"group", Y::text("inference.networking.k8s.io")},
                      {"kind", Y::text("InferencePool")},
                      {"name", Y::text(name)}});
  Y rule = Y::map(
      {{"matches", Y::list({Y::map({{"path", Y::map({{"type", Y::text("PathPrefix")},
                                                     {"value", Y::text("/v1/")}})}})})},
       {"backendRefs", Y::list({std::move(backend)})},
       {"timeouts", Y::map({{"request", Y::text(fmt::format("{}s", longest_answer_s(*c.plan)))
                                            .why("of a whole answer: " +
                                                 longest_answer_why(*c.plan) + " [plan]")}})}});
  Y route =
      object_head("gateway.networking.k8s.io/v1", "HTTPRoute", name, serving_labels(c, false));
  route.set("spec",
            Y::map({{"parentRefs", Y::list({Y::map({{"name", Y::text("inference-gateway")}})})},
                    {"rules", Y::list({std::move(rule)})}}));
  return {{"inferencepool.yaml", false, std::move(pool)},
          {"httproute.yaml", false, std::move(route)}};
}

}  // namespace weir::ops
