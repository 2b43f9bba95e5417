// From a MODEL argument to a model ready to run, with a progress bar and the errors users see.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "engine/loaded_model.h"

namespace weir::cli {

// --kv-type, --kv-type-k and --kv-type-v as given; the latter two win.
struct KvTypeFlags {
  std::string both = "f16";
  std::string k;
  std::string v;

  // Error: kUsage with the flag and the names there are.
  Result<kernels::KvTypes> types() const;
};
void add_kv_type_options(CLI::App* command, KvTypeFlags& flags);

struct LoadRequest {
  std::string model;                // as resolve_model takes it
  int threads = 0;                  // 0: the cores this process may use
  int32_t step_tokens = 512;        // tokens of one step
  int32_t encoder_step_tokens = 0;  // as engine::LoadOptions has it
  int64_t kv_tokens = 0;            // of KV cache; 0: as engine::LoadOptions has it
  kernels::KvTypes kv_types = {};
  std::string load_type;                  // as parse_load_type takes it; empty: as in the files
  std::optional<model::Pooling> pooling;  // of embeddings, instead of what the file says
  bool generates = true;                  // an encoder is an error
};

// --speculate: off, auto or a number of tokens, as SpeculationLimits::depth has it. Error: kUsage
// with the values there are.
Result<int32_t> parse_speculate(const std::string& value);

// A draft model for `model`, loaded as `request` says but for its own name; nullptr where `name` is
// empty. Errors: those of load_model; kUsage with --speculate off; kInvalidValue for another
// vocabulary.
Result<std::unique_ptr<engine::LoadedModel>> load_draft(const std::string& name,
                                                        LoadRequest request, int32_t speculate,
                                                        const engine::LoadedModel& model);

// The kernels of this machine, or those that WEIR_ISA names. Errors: those of kernels::choose_isa.
Result<kernels::Isa> chosen_isa();

// The argument MODEL, and --load-type, for commands that run a model.
void add_model_argument(CLI::App* command, std::string& model);
void add_load_type(CLI::App* command, std::string& load_type);
// --threads; 0 stands for the default.
void add_threads_option(CLI::App* command, int& threads);

// --pooling, as parse_pooling takes it.
void add_pooling_option(CLI::App* command, std::string& pooling);

// Prints nothing but a progress bar on stderr. The kernels follow WEIR_ISA when it is set. Errors:
// those of resolve_model, chosen_isa, parse_load_type and LoadedModel::load; kUnsupported for an
// encoder where the request generates.
Result<std::unique_ptr<engine::LoadedModel>> load_model(const LoadRequest& request);

// "q6_k" or "Q6_K". Error: kUsage with the types there are, beginning with the flag.
Result<gguf::TensorType> parse_type(std::string name, std::string_view flag);

}  // namespace weir::cli
