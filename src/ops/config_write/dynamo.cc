// weir config dynamo: one frontend that routes, and its workers, as scripts for machines and as a
// DynamoGraphDeployment (nvidia.com/v1beta1) for its Kubernetes operator.
#include <fmt/format.h>

#include "ops/config_write/kubernetes.h"
#include "ops/config_write/shell_script.h"
#include "ops/config_write/worker_lines.h"
#include "ops/config_write/write.h"
#include "ops/config_write/yaml_text.h"

namespace weir::ops {
namespace {

constexpr double kWorthRouting = 0.05;  // of a prompt shared; less is found by no router

bool by_prefix(const PlanFile& p) {
  return p.prefix_cache && p.workload.shared_share > kWorthRouting;
}

Result<std::vector<ConfigLine>> frontend_lines(const WriteContext& c, bool container,
                                               WrittenConfig& out) {
  const PlanFile& p = *c.plan;
  LineSet s(c.snapshot);
  if (by_prefix(p)) {
    s.set("--router-mode", "kv",
          fmt::format("{:.0f} % of a prompt is shared: to where its prefix is cached",
                      100 * p.workload.shared_share),
          "llm-d-kvcache-wins-blog");
  } else {
    s.set("--router-mode", "least-loaded", "prompts share too little to route by", kHypothesis);
  }
  if (!container)
    s.set("--http-host", "127.0.0.1", "for this machine alone; a proxy stands in front",
          "owasp-llm10-2025");
  s.set("--migration-limit", "1", "a stream whose worker is lost goes on with another, once",
        kHypothesis);
  WEIR_TRY(s.status());
  for (std::string& left : s.take_left_out()) out.left_out.push_back(std::move(left));
  return s.take_lines();
}

// role: "" for both in one, "prefill", "decode".
Result<std::vector<ConfigLine>> worker_lines(const WriteContext& c, const EnvironmentValues& e,
                                             const std::string& role, WrittenConfig& out) {
  WEIR_ASSIGN(WorkerLines worker, vllm_worker_lines(c, e));
  out.left_out = worker.left_out;
  std::vector<ConfigLine> lines;
  lines.push_back({"--model", model_reference(*c.plan), "the plan's model, " + c.plan->precision,
                   std::string(kFromPlan)});
  if (!role.empty()) {
    LineSet s(c.snapshot);
    s.set("--disaggregation-mode", role, "this worker's part of a request", "dynamo-disagg-docs");
    WEIR_TRY(s.status());
    for (ConfigLine& l : s.take_lines()) lines.push_back(std::move(l));
    lines.push_back(transfer_line());
  }
  for (ConfigLine& l : worker.lines) lines.push_back(std::move(l));
  if (role != "decode" && by_prefix(*c.plan))
    lines.push_back({"--kv-events-config",
                     R"({"enable_kv_cache_events":true,"publisher":"zmq","topic":"kv-events"})",
                     "the router learns what is cached", "dynamo-user-guides"});
  return lines;
}

std::string script(const WriteContext& c, const std::vector<std::string>& program,
                   const std::vector<ConfigLine>& lines) {
  return "#!/bin/sh\n" + file_head(c) + "#\n" + shell_reasons(lines) + "set -eu\n" +
         shell_command("exec ", program, lines);
}

// A kind of worker and how many of it.
struct Role {
  std::string name;  // "" for prefill and decode in one
  int count = 1;
  std::string why;  // with its source
  std::vector<ConfigLine> lines;
};

std::vector<Role> roles_of(const EnvironmentValues& e) {
  if (!e.split)
    return {{"", e.replicas, fmt::format("{} [{}]", e.replicas_why, e.replicas_source), {}}};
  const std::string why = fmt::format("{} [{}]", e.split->why, e.split->source);
  return {{"prefill", e.split->prefill, why, {}}, {"decode", e.split->decode, why, {}}};
}

YamlText component(const std::string& name, const std::string& type, YamlText replicas,
                   YamlText container, bool shared_memory) {
  using Y = YamlText;
  Y pod = Y::map({{"containers", Y::list({std::move(container)})}});
  if (shared_memory)
    pod.set("volumes", Y::list({Y::map({{"name", Y::text("shm")},
                                        {"emptyDir", Y::map({{"medium", Y::text("Memory")}})
                                                         .why("ranks exchange data in /dev/shm "
                                                              "[vllm-docker-docs]")}})}));
  return Y::map({{"name", Y::text(name)},
                 {"type", Y::text(type)},
                 {"replicas", std::move(replicas)},
                 {"podTemplate", Y::map({{"spec", std::move(pod)}})}});
}

YamlText container_of(const std::string& image, const std::string& module,
                      const std::vector<ConfigLine>& lines) {
  using Y = YamlText;
  Y arguments = Y::list({});
  for (const ConfigLine& l : lines)
    arguments.push(Y::text(l.value.empty() ? l.key : l.key + "=" + l.value).why(l.reason()));
  return Y::map({{"name", Y::text("main")},
                 {"image", Y::text(image)},
                 {"command", Y::list({Y::text("python3"), Y::text("-m"), Y::text(module)})},
                 {"args", std::move(arguments)}});
}

YamlText graph_of(const WriteContext& c, const std::string& image,
                  const std::vector<ConfigLine>& frontend, const std::vector<Role>& roles) {
  using Y = YamlText;
  Y components = Y::list({component("Frontend", "frontend", Y::number(1),
                                    container_of(image, "dynamo.frontend", frontend), false)});
  for (const Role& role : roles) {
    Y container = container_of(image, "dynamo.vllm", role.lines);
    container.set("resources", container_resources(*c.plan, c.nodes).tree(true));
    container.set(
        "volumeMounts",
        Y::list({Y::map({{"name", Y::text("shm")}, {"mountPath", Y::text("/dev/shm")}})}));
    components.push(component(role.name.empty() ? "worker" : role.name,
                              role.name.empty() ? "worker" : role.name,
                              Y::number(role.count).why(role.why), std::move(container), true));
  }
  return Y::map({{"apiVersion", Y::text("nvidia.com/v1beta1")},
                 {"kind", Y::text("DynamoGraphDeployment")},
                 {"metadata", Y::map({{"name", Y::text(object_name(*c.plan))}})},
                 {"spec", Y::map({{"components", std::move(components)}})}});
}

Result<YamlText> graph(const WriteContext& c, const EnvironmentValues& e) {
  WrittenConfig unused;
  std::string image = c.request->image;
  if (image.empty()) image = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:" + c.snapshot.version();
  WEIR_TRY(check_image(image, "--image"));
  std::vector<Role> roles = roles_of(e);
  for (Role& role : roles) {
    WEIR_ASSIGN(role.lines, worker_lines(c, e, role.name, unused));
  }
  WEIR_ASSIGN(const auto frontend, frontend_lines(c, true, unused));
  return graph_of(c, image, frontend, roles);
}

}  // namespace

Status write_dynamo(const WriteContext& c, WrittenConfig& out) {
  const std::vector<std::string> worker{"python3", "-m", "dynamo.vllm"};
  for (const Role& role : roles_of(c.environment)) {
    WEIR_ASSIGN(const auto own, worker_lines(c, c.environment, role.name, out));
    const std::string name = c.path((role.name.empty() ? "worker" : role.name) + ".sh");
    out.files.push_back({name, script(c, worker, own)});
    out.notes.push_back(fmt::format("{} of {}: {}", role.count, name, role.why));
  }
  WEIR_ASSIGN(const auto lines, frontend_lines(c, false, out));
  out.files.push_back(
      {c.path("frontend.sh"), script(c, {"python3", "-m", "dynamo.frontend"}, lines)});
  WEIR_ASSIGN(const YamlText base, graph(c, c.base));
  WEIR_ASSIGN(const YamlText own, graph(c, c.environment));
  out.files.push_back({c.path("graph.yaml"), file_head(c) + own.dump()});
  out.differences = list_differences(base, own, c.path("graph.yaml"));
  if (c.nodes > 1)
    out.left_out.emplace_back(
        "a worker over several machines: the graph's components are of one machine here");
  out.notes.emplace_back(
      "scripts: workers find each other through etcd or, with --discovery-backend file, a shared "
      "folder; graph.yaml needs Dynamo's operator");
  return {};
}

}  // namespace weir::ops
