#include "ops/config_write/worker_lines.h"

#include <algorithm>

#include "ops/deploy/recognise.h"
#include "ops/engines/catalog.h"

namespace weir::ops {
namespace {

// Flags of the HTTP server, which workers have not got.
bool of_server(const EngineSnapshot& s, const std::string& flag) {
  const EngineOption* o = s.find_flag(flag).option;
  return o == nullptr || o->group == "Frontend" || o->group == "server";
}

// Of an image of vLLM's own whose version was read; "": not known.
std::string version_inside(const std::string& image) {
  if (image.find("vllm-openai") == std::string::npos) return "";
  std::string version = version_of_tag(tag_of_image(image));
  for (const EngineVersion& v : engine_versions()) {
    if (v.engine == "vllm" && v.version == version) return version;
  }
  return "";
}

}  // namespace

ConfigLine transfer_line() {
  return {"--kv-transfer-config", R"({"kv_connector":"NixlConnector","kv_role":"kv_both"})",
          "prefill hands its KV cache to decode over NIXL", "llm-d-pd-guide"};
}

Result<WorkerLines> vllm_worker_lines(const WriteContext& c, const EnvironmentValues& values,
                                      const std::string& image) {
  const std::string inside = version_inside(image);
  std::vector<EngineSnapshot> all;
  for (const EngineVersion& v : engine_versions()) {
    if (v.engine != "vllm" || (!inside.empty() && v.version != inside)) continue;
    WEIR_ASSIGN(EngineSnapshot s, engine_snapshot(v.engine, std::string(v.version)));
    all.push_back(std::move(s));
  }
  EngineRequest r = c.engine_request(values, true);
  r.snapshot = &all.back();
  r.nodes = 1;
  WEIR_ASSIGN(EngineConfig config, engine_config(r));
  WorkerLines out;
  if (!inside.empty()) out.left_out = std::move(config.left_out);
  for (ConfigLine& l : config.flags) {
    if (l.key.empty() || (image.empty() && of_server(all.back(), l.key))) continue;
    const bool everywhere = std::all_of(all.begin(), all.end(), [&](const EngineSnapshot& s) {
      const EngineOption* o = s.find_flag(l.key).option;
      return o != nullptr && (l.value.empty() || value_problem(*o, l.value, true).empty());
    });
    if (everywhere) {
      out.lines.push_back(std::move(l));
    } else {
      out.left_out.push_back(l.key + ": not in every vLLM that may be inside; " + l.why);
    }
  }
  // Who asks for these lines has prefill and decode apart.
  out.left_out.erase(
      std::remove_if(out.left_out.begin(), out.left_out.end(),
                     [](const std::string& l) { return l.starts_with("disaggregation:"); }),
      out.left_out.end());
  return out;
}

}  // namespace weir::ops
