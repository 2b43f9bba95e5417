// From a plan to an engine's own settings. Facts of the plan are data, under the names of
// data/engine_facts.yaml; what an engine has of its own is added by its function.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/config_write/config_line.h"
#include "ops/config_write/environment.h"
#include "ops/config_write/line_set.h"
#include "ops/engines/snapshot.h"
#include "ops/plan/plan_file.h"

namespace weir::ops {

// What is the same for every version of an engine: data, in engine_profile.cc.
struct EngineProfile {
  std::string_view engine;  // of the snapshots
  std::string_view target;  // as the command line names it
  int port = 8000;
  std::string_view ready_path, live_path, metrics_path;
  std::string_view image;  // with {} for the version; empty: no release is published under it
  std::vector<std::string_view> program;
  bool glued_values = true;  // takes --flag=value
};
// Error kUsage naming those there are. target: or the engine's own name.
Result<const EngineProfile*> engine_profile(std::string_view target);

struct EngineRequest {
  const PlanFile* plan = nullptr;
  const EnvironmentValues* environment = nullptr;
  const EngineSnapshot* snapshot = nullptr;
  bool container = false;  // reached from other machines; else from this one alone
  int nodes = 1;           // machines of one replica
};

// Errors: kUsage for an engine that has no writer, for a model that it cannot load as the plan has
// it (check_weights, GGUF for llama.cpp); kUnsupported for what its version cannot do.
Result<EngineConfig> engine_config(const EngineRequest& request);

// The model as engines load it: an id of data/models.yaml becomes the repository's name.
std::string model_reference(const PlanFile& plan);
// Bits of a weight in the checkpoint: of an id of data/models.yaml, or of the config.json that the
// plan was made from, where it still stands; 0: not known.
double stored_bits(const PlanFile& plan);
// Whether the engine quantizes the checkpoint to the plan's bits while it loads it, by a flag.
bool quantizes_at_load(const PlanFile& plan, std::string_view engine);
// Error kUsage, naming --model-source: the plan has fewer bits a weight than the checkpoint, and
// the engine does not quantize while it loads.
Status check_weights(const PlanFile& plan, std::string_view engine);
// A DNS label of it: "llama-3-1-8b".
std::string object_name(const PlanFile& plan);
// Seconds that the longest answers take by the plan, 60 to 3600, and how that was found.
int longest_answer_s(const PlanFile& plan);
std::string longest_answer_why(const PlanFile& plan);
// "80 GB a device, 72.0 for the engine, less 16.1 of weights and 2.0 of activations: 53.9 GB for
// 441000 tokens".
std::string memory_words(const PlanFile& plan);

// Error kUsage, naming --model-source: neither a .gguf file nor a repository that is called GGUF.
Status check_gguf(const PlanFile& plan);

// In the order in which they are written.
std::vector<PlanFact> facts_of_plan(const EngineRequest& request);

// Internal to engine_config.cc: what an engine has beside the facts.
void add_vllm(const EngineRequest& request, LineSet& lines);
void add_sglang(const EngineRequest& request, LineSet& lines);
void add_trtllm_flags(const EngineRequest& request, LineSet& lines);
void add_trtllm_keys(const EngineRequest& request, LineSet& keys);
void add_llama(const EngineRequest& request, LineSet& lines);

}  // namespace weir::ops
