#include "engine/loaded_model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/engine.h"
#include "engine/model_identity.h"
#include "model/footprint.h"
#include "os/memory.h"

namespace weir::engine {
namespace {

// Tokens of KV cache: what was asked for, else one window within a quarter of what is free.
int64_t choose_kv_tokens(const model::Config& config, const LoadOptions& o, int32_t step_tokens,
                         uint64_t available_bytes) {
  if (o.kv_tokens > 0) return o.kv_tokens;
  const auto affordable =
      static_cast<int64_t>(available_bytes / 4 / config.kv_bytes_per_token(o.kv_types));
  // An encoder keeps nothing from step to step. A step's texts begin a page each.
  const int64_t wanted = config.arch->encoder
                             ? step_tokens + int64_t{EngineLimits{}.max_running} * kPageTokens
                             : config.context_tokens;
  return std::clamp<int64_t>(wanted, kPageTokens, std::max<int64_t>(affordable, kPageTokens));
}

class Stopwatch {
 public:
  explicit Stopwatch(const Clock* clock) : clock_(clock), start_ns_(now_ns()) {}
  double ms() const { return static_cast<double>(now_ns() - start_ns_) * 1e-6; }

 private:
  int64_t now_ns() const { return clock_ == nullptr ? 0 : clock_->now_ns(); }
  const Clock* clock_;
  int64_t start_ns_;
};

// The error of a result that came from a file names that file.
template <typename T>
Result<T> in_file(const std::string& path, Result<T> result) {
  if (result.ok()) return result;
  return result.error().with_context(path);
}

}  // namespace

Result<std::unique_ptr<LoadedModel>> LoadedModel::load(const std::string& path,
                                                       const LoadOptions& o) {
  const Stopwatch watch(o.clock);
  LoadTimes times;
  // A folder is converted only after it is known to fit.
  WEIR_ASSIGN(checkpoint::OpenedModel opened, checkpoint::open_model(path, o.open));
  gguf::File& file = opened.file;
  WEIR_ASSIGN(const model::Config config, in_file(path, model::read_config(file)));
  if (auto allowed = kernels::check_kv_types(o.kv_types, static_cast<size_t>(config.head_dim),
                                             static_cast<size_t>(config.value_dim));
      !allowed.ok())
    return allowed.error().with_context(path);
  WEIR_ASSIGN(const uint64_t available, os::available_memory_bytes());
  int32_t step_tokens = o.max_step_tokens;
  if (config.arch->encoder)
    step_tokens = std::max(step_tokens, std::min(config.context_tokens, o.encoder_step_tokens));
  const int64_t kv_tokens = choose_kv_tokens(config, o, step_tokens, available);
  WEIR_ASSIGN(
      const model::Footprint footprint,
      in_file(path, model::estimate_footprint(file, config, o.isa, static_cast<uint64_t>(kv_tokens),
                                              o.kv_types, static_cast<uint64_t>(step_tokens))));
  if (auto fits = model::check_fits(footprint, available); !fits.ok())
    return fits.error().with_context(path);
  std::unique_ptr<LoadedModel> loaded(new LoadedModel());
  loaded->pool_ = std::make_unique<kernels::ThreadPool>(o.threads);
  if (opened.fill) WEIR_TRY(opened.fill(*loaded->pool_));
  loaded->identity_ = model_identity(file);  // of what is filled in as well
  times.open_ms = watch.ms();
  std::optional<Result<std::unique_ptr<text::Tokenizer>>> tokenizer;
  const auto load_tokenizer = [&](const gguf::File& from) {
    const Stopwatch own(o.clock);
    tokenizer.emplace(text::Tokenizer::load(from));
    times.tokenizer_ms = own.ms();
  };
  auto model = model::Model::load(std::move(file), *loaded->pool_,
                                  {.isa = o.isa,
                                   .max_step_tokens = step_tokens,
                                   .context_tokens = static_cast<int32_t>(std::min<int64_t>(
                                       config.context_tokens, std::max<int64_t>(1, kv_tokens))),
                                   .kv_types = o.kv_types,
                                   .progress = o.progress,
                                   .beside = load_tokenizer});
  if (tokenizer.has_value() && !tokenizer->ok()) return tokenizer->error().with_context(path);
  if (!model.ok()) return model.error().with_context(path);
  loaded->tokenizer_ = std::move(*tokenizer).value();
  if (loaded->tokenizer_->vocab_size() > config.vocab_size) {
    return make_error(ErrorCode::kCorrupt, "{}: the vocabulary has {} tokens and the model {} rows",
                      path, loaded->tokenizer_->vocab_size(), config.vocab_size);
  }
  times.weights_ms = watch.ms() - times.open_ms;
  loaded->model_ = std::move(*model);
  const auto pages = static_cast<int32_t>((kv_tokens + kPageTokens - 1) / kPageTokens);
  WEIR_ASSIGN(loaded->storage_, kv::KvStorage::allocate(loaded->model_->kv_layout(kPageTokens),
                                                        config.layers, pages));
  if (o.pooling.value_or(model::Pooling::kNone) != model::Pooling::kNone &&
      !loaded->model_->config().rotations.empty()) {
    return make_error(ErrorCode::kUnsupported,
                      "{} was quantized with --rotations {}, and embeds in a basis of its own, "
                      "without the final norm's weights; take a file that is not rotated for "
                      "embeddings",
                      path, loaded->model_->config().rotations);
  }
  loaded->pooling_ = o.pooling;
  loaded->runner_ = std::make_unique<ModelRunner>(*loaded->model_, *loaded->storage_, o.pooling);
  times.all_ms = watch.ms();
  loaded->times_ = times;
  return loaded;
}

Status LoadedModel::set_kv_types(kernels::KvTypes types) {
  kernels::KvLayout layout = model_->kv_layout(kPageTokens);
  WEIR_TRY(kernels::check_kv_types(types, layout.head_dim, layout.value_dim));
  layout.types = types;
  WEIR_ASSIGN(auto storage,
              kv::KvStorage::allocate(layout, model_->config().layers, storage_->pages()));
  model_->set_kv_types(types);
  storage_ = std::move(storage);
  runner_ = std::make_unique<ModelRunner>(*model_, *storage_, pooling_);
  return {};
}

}  // namespace weir::engine
