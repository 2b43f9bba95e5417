#include "ops/config_write/worker_lines.h"

#include <algorithm>

#include "ops/engines/catalog.h"

namespace weir::ops {
namespace {

// Flags of the HTTP server, which workers have not got.
bool of_server(const EngineSnapshot& s, const std::string& flag) {
  const EngineOption* o = s.find_flag(flag).option;
  return o == nullptr || o->group == "Frontend" || o->group == "server";
}

}  // namespace

ConfigLine transfer_line() {
  return {"--kv-transfer-config", R"({"kv_connector":"NixlConnector","kv_role":"kv_both"})",
          "prefill hands its KV cache to decode over NIXL", "llm-d-pd-guide"};
}

Result<WorkerLines> vllm_worker_lines(const WriteContext& c, const EnvironmentValues& values) {
  std::vector<EngineSnapshot> all;
  for (const EngineVersion& v : engine_versions()) {
    if (v.engine != "vllm") continue;
    WEIR_ASSIGN(EngineSnapshot s, engine_snapshot(v.engine, std::string(v.version)));
    all.push_back(std::move(s));
  }
  EngineRequest r = c.engine_request(values, true);
  r.snapshot = &all.back();
  r.nodes = 1;
  WEIR_ASSIGN(EngineConfig config, engine_config(r));
  WorkerLines out;
  for (ConfigLine& l : config.flags) {
    if (l.key.empty() || of_server(all.back(), l.key)) continue;
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
  return out;
}

}  // namespace weir::ops
