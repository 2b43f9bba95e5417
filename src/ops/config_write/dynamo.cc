// weir config dynamo: one frontend that routes, and its workers, as scripts.
#include <fmt/format.h>

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

Result<std::vector<ConfigLine>> frontend_lines(const WriteContext& c, WrittenConfig& out) {
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
  s.set("--http-host", "127.0.0.1", "for this machine alone; a proxy stands in front",
        "owasp-llm10-2025");
  s.set("--migration-limit", "1", "a stream whose worker is lost goes on with another, once",
        kHypothesis);
  WEIR_TRY(s.status());
  for (std::string& left : std::move(s).left_out()) out.left_out.push_back(std::move(left));
  return std::move(s).lines();
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
    for (ConfigLine& l : std::move(s).lines()) lines.push_back(std::move(l));
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

}  // namespace

Status write_dynamo(const WriteContext& c, WrittenConfig& out) {
  std::vector<std::pair<std::string, int>> roles{{"", c.environment.replicas}};
  if (c.plan->disaggregation) {
    const bool dev = c.environment.name == "dev";
    const int groups = c.environment.replicas;
    const PlanDisaggregation& d = *c.plan->disaggregation;
    roles = {{"prefill", dev ? 1 : groups * d.prefill_replicas},
             {"decode", dev ? 1 : groups * d.decode_replicas}};
  }
  const std::vector<std::string> worker{"python3", "-m", "dynamo.vllm"};
  for (const auto& [role, count] : roles) {
    WEIR_ASSIGN(const auto own, worker_lines(c, c.environment, role, out));
    WrittenConfig unused;
    WEIR_ASSIGN(const auto base, worker_lines(c, c.base, role, unused));
    const std::string name = c.path((role.empty() ? "worker" : role) + ".sh");
    out.files.push_back({name, script(c, worker, own)});
    for (EnvironmentDifference& d : line_differences(base, own, name))
      out.differences.push_back(std::move(d));
    out.notes.push_back(fmt::format("{} of {}: {} [{}]", count, name, c.environment.replicas_why,
                                    c.environment.replicas_source));
  }
  WEIR_ASSIGN(const auto lines, frontend_lines(c, out));
  out.files.push_back(
      {c.path("frontend.sh"), script(c, {"python3", "-m", "dynamo.frontend"}, lines)});
  out.notes.emplace_back(
      "workers find each other through etcd or, with --discovery-backend file, a shared folder");
  return {};
}

}  // namespace weir::ops
