#include "ops/config_write/write.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "config/key.h"
#include "ops/config_write/yaml_text.h"
#include "ops/deploy/recognise.h"
#include "ops/engines/catalog.h"

namespace weir::ops {
namespace {

using Writer = Status (*)(const WriteContext&, WrittenConfig&);

struct Target {
  const char* name;
  Writer write;
  const char* snapshot;  // of which engine; "": the one that serves; nullptr: none is needed
};

constexpr Target kTargets[] = {
    {"vllm", write_engine, "vllm"},           {"sglang", write_engine, "sglang"},
    {"trtllm", write_engine, "tensorrt-llm"}, {"dynamo", write_dynamo, "dynamo"},
    {"llm-d", write_llm_d, "llm-d"},          {"deepspeed", write_deepspeed, "deepspeed"},
    {"llamacpp", write_engine, "llama.cpp"},  {"weir", write_weir, nullptr},
    {"kubernetes", write_kubernetes, ""},     {"nginx", write_nginx, ""},
    {"haproxy", write_haproxy, ""},           {"prometheus", write_prometheus, ""},
    {"grafana", write_grafana, ""},
};

// Only a version that was read: flags of another would be guesses.
Result<EngineSnapshot> exact_snapshot(std::string_view engine, const std::string& version) {
  std::vector<std::string> known;
  bool found = version.empty();
  for (const EngineVersion& v : engine_versions()) {
    if (v.engine != engine) continue;
    known.emplace_back(v.version);
    found = found || v.version == version;
  }
  if (!found) {
    return make_error(ErrorCode::kUsage,
                      "--engine-version {}: there is no snapshot of {} in it, and nothing is "
                      "guessed; there are {}",
                      version, engine, fmt::join(known, ", "));
  }
  return engine_snapshot(engine, version);
}

int nodes_of(const PlanFile& plan, int devices_per_node) {
  return (plan.devices() + devices_per_node - 1) / devices_per_node;
}

bool all_of(std::string_view text, std::string_view others) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           others.find(ch) != std::string_view::npos;
  });
}

// Words of the command line that become names of folders or parts of a proxy's file.
Status check_words(const WriteRequest& r) {
  for (const std::string& region : r.regions) {
    if (!all_of(region, "-") || region.front() == '-' || region.size() > 63)
      return make_error(ErrorCode::kUsage,
                        "--regions {}: a region is a label: letters, digits and dashes, 63 at most",
                        region);
  }
  for (const std::string& backend : r.backends) {
    if (!all_of(backend, "-.:[]") || backend.find(':') == std::string::npos)
      return make_error(ErrorCode::kUsage, "--backend {}: must be HOST:PORT", backend);
  }
  return {};
}

// An outage in prod is worse than a file that is not written.
Status check_end(const PlanFile& plan, const WriteRequest& r) {
  if (r.environment != "prod" || r.optimistic || planned_end(plan) == "pessimistic") return {};
  return make_error(ErrorCode::kUnsupported,
                    "at the pessimistic end of its range the plan meets its SLO with no number of "
                    "replicas, and {} is the optimistic end's: plan another device, split or SLO, "
                    "measure (weir plan --fit), or accept it with --optimistic",
                    plan.replicas_low);
}

Status fill(const Target& target, WriteContext& c) {
  const WriteRequest& r = *c.request;
  WEIR_TRY(check_words(r));
  if (r.devices_per_node < 1)
    return make_error(ErrorCode::kUsage, "--devices-per-node must be 1 or more, not {}",
                      r.devices_per_node);
  WEIR_ASSIGN(c.base, environment_values(*c.plan, "base"));
  WEIR_ASSIGN(c.environment, environment_values(*c.plan, r.environment));
  WEIR_TRY(check_end(*c.plan, r));
  c.nodes = nodes_of(*c.plan, r.devices_per_node);
  const std::string serving = r.engine.empty() ? "vllm" : r.engine;
  const bool own = target.snapshot != nullptr && *target.snapshot != '\0';
  if (!own) {
    WEIR_ASSIGN(c.profile, engine_profile(target.snapshot == nullptr ? r.target : serving));
  } else if (auto profile = engine_profile(target.snapshot); profile.ok()) {
    c.profile = *profile;
  } else {
    WEIR_ASSIGN(c.profile, engine_profile("vllm"));
  }
  if (c.profile->engine == "weir") return {};
  WEIR_ASSIGN(c.snapshot, exact_snapshot(own ? target.snapshot : std::string(c.profile->engine),
                                         r.engine_version));
  return {};
}

}  // namespace

const std::vector<std::string>& config_targets() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Target& t : kTargets) out.emplace_back(t.name);
    return out;
  }();
  return names;
}

Result<WrittenConfig> write_config(const PlanFile& plan, const WriteRequest& request) {
  const auto* target = std::find_if(std::begin(kTargets), std::end(kTargets), [&](const Target& t) {
    return request.target == t.name ||
           (t.snapshot != nullptr && *t.snapshot != '\0' && request.target == t.snapshot);
  });
  if (target == std::end(kTargets)) {
    return make_error(ErrorCode::kUsage, "{}: nothing that is written; the nearest is {}, all: {}",
                      request.target, config::nearest(request.target, config_targets()),
                      fmt::join(config_targets(), ", "));
  }
  if (request.environment == "base")
    return make_error(ErrorCode::kUsage,
                      "base is under every environment: ask for dev, stage or "
                      "prod");
  PlanFile own = plan;
  if (!request.model_source.empty()) own.model_source = request.model_source;
  WriteRequest named = request;
  named.target = target->name;
  WriteContext context;
  context.plan = &own;
  context.request = &named;
  WEIR_TRY(fill(*target, context));
  WrittenConfig out;
  out.target = named.target;
  out.environment = request.environment;
  out.engine = context.snapshot.engine().empty() ? std::string(context.profile->engine)
                                                 : context.snapshot.engine();
  out.version = context.snapshot.version();
  WEIR_TRY(target->write(context, out));
  // Prefill and decode apart are of the pessimistic end, and counted where they are written.
  if (context.environment.split && (out.target == "dynamo" || out.target == "llm-d")) return out;
  out.notes.push_back(fmt::format(
      "replicas and limits are those of the plan's {} end, {} ({} to {})", planned_end(plan),
      planned_replicas(plan), plan.replicas_low,
      plan.replicas_high > 0 ? fmt::format("{}", plan.replicas_high) : "none that meets the SLO"));
  return out;
}

Result<std::vector<WrittenConfig>> write_environments(const PlanFile& plan, WriteRequest request) {
  std::vector<WrittenConfig> out;
  for (const char* name : {"dev", "stage", "prod"}) {
    request.environment = name;
    WEIR_ASSIGN(WrittenConfig written, write_config(plan, request));
    out.push_back(std::move(written));
  }
  return out;
}

std::string base_head(const WriteContext& c) {
  WriteContext base = c;
  base.environment.name.clear();
  return file_head(base);
}

std::string file_head(const WriteContext& c, std::string_view mark) {
  const PlanFile& p = *c.plan;
  const std::string serving =
      c.snapshot.engine().empty()
          ? ""
          : fmt::format("{} {}, ", c.snapshot.engine(), c.snapshot.version());
  return comment_lines(
      fmt::format("Written by weir config {}{} from the plan of {}: {}{} on {} x {} a "
                  "replica. Figures of the plan are {}. Behind each line: why, and [its source]: "
                  "plan, hypothesis, or an id of weir's sources.json. Change the plan and write "
                  "anew rather than edit.",
                  c.request->target,
                  c.environment.name.empty() ? ", under every environment,"
                                             : " --env " + c.environment.name,
                  p.created, serving, p.model_name.empty() ? p.model_source : p.model_name,
                  p.devices(), p.accelerator_name.empty() ? p.accelerator : p.accelerator_name,
                  p.evidence_class == "fitted" ? "fitted to measurements"
                                               : "a hypothesis until they are measured"),
      0, mark);
}

std::vector<std::string> backend_addresses(const WriteContext& c) {
  if (!c.request->backends.empty()) return c.request->backends;
  std::vector<std::string> out;
  out.reserve(static_cast<size_t>(std::max(0, c.environment.replicas)));
  for (int i = 0; i < c.environment.replicas; ++i)
    out.push_back(fmt::format("127.0.0.1:{}", c.profile->port + i));
  return out;
}

Status check_image(const std::string& image, std::string_view option) {
  const std::string tag = tag_of_image(image);
  const bool digest = image.find("@sha256:") != std::string::npos;
  if (digest || (!tag.empty() && tag != "latest" && tag != "nightly" && tag != "main")) return {};
  return make_error(ErrorCode::kUsage,
                    "{} {}: an image is named by a version or digest, so that what runs changes "
                    "only with this file",
                    option, image);
}

Result<std::string> engine_image(const WriteContext& c) {
  const std::string& asked = c.request->image;
  if (!asked.empty()) {
    WEIR_TRY(check_image(asked, "--image"));
    return asked;
  }
  if (!c.profile->image.empty())
    return fmt::format(fmt::runtime(c.profile->image), c.snapshot.version());
  return make_error(ErrorCode::kUsage,
                    "no image is published for {} {}: name one with --image, by its version",
                    c.profile->engine, c.snapshot.version());
}

}  // namespace weir::ops
