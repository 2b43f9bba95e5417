#include "cli/load.h"

#include <fmt/ranges.h>

#include <charconv>
#include <cstdlib>

#include "base/clock.h"
#include "cli/model_path.h"
#include "cli/terminal.h"
#include "config/key.h"
#include "engine/draft_model.h"
#include "engine/engine.h"
#include "os/cpu.h"
#include "quant/quantize.h"

namespace weir::cli {
namespace {
constexpr int32_t kMaxSpeculate = 31;  // with the token before them two passes over the weights
}

Result<kernels::Isa> chosen_isa() {
  const char* isa = std::getenv("WEIR_ISA");
  auto chosen = kernels::choose_isa(os::detect_cpu(), isa == nullptr ? "" : isa);
  if (!chosen.ok()) return chosen.error().with_context("WEIR_ISA");
  return chosen;
}

Result<kernels::KvTypes> KvTypeFlags::types() const {
  const auto parse = [this](const std::string& own, const char* flag) -> Result<kernels::KvType> {
    auto type = kernels::parse_kv_type(own.empty() ? both : own);
    if (!type.ok()) return type.error().with_context(own.empty() ? "--kv-type" : flag);
    return type;
  };
  kernels::KvTypes types;
  WEIR_ASSIGN(types.k, parse(k, "--kv-type-k"));
  WEIR_ASSIGN(types.v, parse(v, "--kv-type-v"));
  return types;
}

void add_kv_type_options(CLI::App* command, KvTypeFlags& flags) {
  command
      ->add_option("--kv-type", flags.both,
                   "type of cached keys and values: f16, bf16, q8_0 or q4_0")
      ->capture_default_str();
  command->add_option("--kv-type-k", flags.k, "type of cached keys (default: --kv-type)");
  command->add_option("--kv-type-v", flags.v, "type of cached values (default: --kv-type)");
}

Result<int32_t> parse_speculate(const std::string& value) {
  if (value == "off") return 0;
  if (value == "auto") return engine::SpeculationLimits::kAuto;
  int32_t depth = 0;
  const char* end = value.data() + value.size();
  const auto [stop, failed] = std::from_chars(value.data(), end, depth);
  if (failed != std::errc{} || stop != end || depth < 1 || depth > kMaxSpeculate) {
    return make_error(ErrorCode::kUsage,
                      "--speculate is {}; it takes off, auto or a number from 1 to {}", value,
                      kMaxSpeculate);
  }
  return depth;
}

void add_model_argument(CLI::App* command, std::string& model) {
  command
      ->add_option("MODEL", model,
                   "GGUF file, folder of a Hugging Face model, or a name under models/")
      ->required();
}

void add_load_type(CLI::App* command, std::string& load_type) {
  command
      ->add_option("--load-type", load_type,
                   "type of a folder's matrices in memory (default: as they are in its files)")
      ->check(CLI::IsMember({"bf16", "f16", "q8_0", "q4_1", "q4_0"}));
}

void add_threads_option(CLI::App* command, int& threads) {
  command
      ->add_option("--threads", threads, "worker threads (default: the cores this process may use)")
      ->check(CLI::Range(1, 256));
}

void add_pooling_option(CLI::App* command, std::string& pooling) {
  command
      ->add_option("--pooling", pooling,
                   "how a text becomes one vector (default: as the model's file says)")
      ->check(CLI::IsMember({"mean", "cls", "last"}));
}

Result<std::unique_ptr<engine::LoadedModel>> load_model(const LoadRequest& request) {
  WEIR_ASSIGN(const std::string path, resolve_model(request.model));
  WEIR_ASSIGN(const kernels::Isa isa, chosen_isa());
  const SystemClock clock;
  ProgressBar bar("loading", 1000, clock);
  engine::LoadOptions options;
  options.isa = isa;
  options.threads = request.threads > 0 ? request.threads : os::usable_cores();
  options.max_step_tokens = request.step_tokens;
  options.encoder_step_tokens = request.encoder_step_tokens;
  options.kv_tokens = request.kv_tokens;
  options.kv_types = request.kv_types;
  options.pooling = request.pooling;
  if (!request.load_type.empty()) {
    WEIR_ASSIGN(options.open.load_type, checkpoint::parse_load_type(request.load_type));
  }
  options.clock = &clock;
  options.progress = [&bar](size_t done, size_t all) {
    bar.update(all == 0 ? 1000 : done * 1000 / all);
  };
  WEIR_ASSIGN(std::unique_ptr<engine::LoadedModel> model, engine::LoadedModel::load(path, options));
  if (request.generates && model->config().arch->encoder) {
    return make_error(ErrorCode::kUnsupported,
                      "{} is an encoder ({}): it makes embeddings and generates no text; see weir "
                      "embed, and POST /v1/embeddings of weir serve",
                      path, model->config().arch->name);
  }
  return model;
}

Result<std::unique_ptr<engine::LoadedModel>> load_draft(const std::string& name,
                                                        LoadRequest request, int32_t speculate,
                                                        const engine::LoadedModel& model) {
  std::unique_ptr<engine::LoadedModel> draft;
  if (name.empty()) return draft;
  if (speculate == 0)
    return make_error(ErrorCode::kUsage, "--draft and --speculate off exclude each other");
  request.model = name;
  request.load_type.clear();
  request.generates = true;
  WEIR_ASSIGN(draft, load_model(request));
  if (auto same = engine::check_same_vocabulary(model.tokenizer(), draft->tokenizer()); !same.ok())
    return same.error().with_context("--draft " + name);
  return draft;
}

Result<gguf::TensorType> parse_type(std::string name, std::string_view flag) {
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  const auto type = gguf::type_by_name(name);
  if (!type) {
    std::vector<std::string> names;
    for (const gguf::TensorType t : quant::quantizable()) names.emplace_back(gguf::type_name(t));
    return make_error(ErrorCode::kUsage,
                      "{}: there is no type '{}'; the nearest is {}; types that can be written are "
                      "{}",
                      flag, name, config::nearest(name, names), fmt::join(names, ", "));
  }
  return *type;
}

}  // namespace weir::cli
