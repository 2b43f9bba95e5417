#include "model/model.h"

#include <optional>
#include <utility>

#include "model/forward.h"
#include "model/rope.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace weir::model {

struct Model::State {
  State(gguf::File f, Config c, kernels::ThreadPool& p, const LoadOptions& o)
      : file(std::move(f)),
        config(std::move(c)),
        pool(p),
        isa(o.isa),
        kv_types(o.kv_types),
        max_step_tokens(o.max_step_tokens) {}

  gguf::File file;
  Config config;
  kernels::ThreadPool& pool;
  kernels::Isa isa;
  kernels::KvTypes kv_types;
  int32_t max_step_tokens;
  size_t embedded_tokens = 0;  // since the pages of the embedding were given back
  Weights weights;
  std::optional<RopeTable> rope;
  std::optional<RopeTable> window_rope;
  std::optional<Workspace> space;
};

namespace {

struct Rows {
  size_t logits = 0;
  size_t hidden = 0;
};

bool well_formed(const Chunk& chunk, const Config& c, size_t page_tokens) {
  const size_t n = chunk.tokens.size();
  if (chunk.position < 0 || chunk.logit_rows < 0 || chunk.hidden_rows < 0 ||
      static_cast<size_t>(chunk.logit_rows) > n || static_cast<size_t>(chunk.hidden_rows) > n)
    return false;
  if (static_cast<size_t>(chunk.position) + n > chunk.pages.size() * page_tokens) return false;
  if (chunk.logit_rows > 0 && chunk.hidden_rows > 0) return false;
  return !c.arch->encoder || (chunk.position == 0 && chunk.logit_rows == 0);
}

// Rows of the embedding that are read between two times its pages are given back. A row read for
// the first time maps the 64 KiB around it, so without that the whole matrix would become resident
// little by little; with it, at most 4 MiB do. To map a page anew takes some microseconds.
constexpr size_t kEmbeddedTokens = 64;

// Whether every chunk is well formed and the step fits; the number of rows that come out.
Result<Rows> check_batch(std::span<const Chunk> batch, const Config& c, int32_t max_step_tokens,
                         size_t page_tokens) {
  size_t tokens = 0;
  Rows rows;
  for (const Chunk& chunk : batch) {
    const size_t n = chunk.tokens.size();
    if (!well_formed(chunk, c, page_tokens)) {
      return make_error(ErrorCode::kInternal,
                        "a chunk of {} tokens at position {} with {} pages is malformed", n,
                        chunk.position, chunk.pages.size());
    }
    for (const int32_t id : chunk.tokens) {
      if (id < 0 || id >= c.vocab_size) {
        return make_error(ErrorCode::kInternal, "token id {} is outside the vocabulary of {}", id,
                          c.vocab_size);
      }
    }
    tokens += n;
    rows.logits += static_cast<size_t>(chunk.logit_rows);
    rows.hidden += static_cast<size_t>(chunk.hidden_rows);
  }
  if (tokens > static_cast<size_t>(max_step_tokens)) {
    return make_error(ErrorCode::kInternal, "a step of {} tokens passes its bound of {}", tokens,
                      max_step_tokens);
  }
  return rows;
}

}  // namespace

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::load(gguf::File file, kernels::ThreadPool& pool,
                                           const LoadOptions& options) {
  WEIR_ASSIGN(Config config, read_config(file));
  for (const int32_t dim : {config.head_dim, config.value_dim}) {
    if (dim % 16 == 0 && static_cast<size_t>(dim) <= kernels::kMaxHeadDim) continue;
    return make_error(ErrorCode::kUnsupported,
                      "the head dimension is {}; weir runs multiples of 16 up to {}", dim,
                      kernels::kMaxHeadDim);
  }
  WEIR_TRY(kernels::check_kv_types(options.kv_types, static_cast<size_t>(config.head_dim),
                                   static_cast<size_t>(config.value_dim)));
  auto state = std::make_unique<State>(std::move(file), std::move(config), pool, options);
  std::function<void()> beside;
  if (options.beside) beside = [&] { options.beside(state->file); };
  WEIR_ASSIGN(state->weights, load_weights(state->file, state->config, pool,
                                           {.isa = options.isa,
                                            .context_tokens = options.context_tokens,
                                            .progress = options.progress,
                                            .beside = beside}));
  state->rope.emplace(state->config.rope, state->weights.rope_factors);
  state->window_rope.emplace(state->config.window_rope, state->weights.rope_factors);
  state->file.release("", gguf::File::Release::kReadLater);  // metadata as well
  state->space.emplace(state->config, options.max_step_tokens);
  return std::unique_ptr<Model>(new Model(std::move(state)));
}

const Config& Model::config() const { return state_->config; }
const gguf::File& Model::file() const { return state_->file; }
kernels::Isa Model::isa() const { return state_->isa; }
uint64_t Model::weight_bytes() const { return state_->weights.packed_bytes; }
int32_t Model::max_step_tokens() const { return state_->max_step_tokens; }

void Model::set_kv_types(kernels::KvTypes types) { state_->kv_types = types; }

void Model::observe_inputs(InputObserver observer) {
  state_->space->observer = std::move(observer);
}

kernels::KvLayout Model::kv_layout(size_t page_tokens) const {
  return {page_tokens, static_cast<size_t>(config().kv_heads),
          static_cast<size_t>(config().head_dim), static_cast<size_t>(config().value_dim),
          state_->kv_types};
}

Status Model::forward(std::span<const Chunk> batch, std::span<const kernels::KvPools> kv,
                      size_t page_tokens, std::span<float> logits, std::span<float> hidden) {
  State& s = *state_;
  WEIR_ASSIGN(const Rows rows, check_batch(batch, s.config, s.max_step_tokens, page_tokens));
  if (kv.size() != static_cast<size_t>(s.config.layers) ||
      logits.size() != rows.logits * static_cast<size_t>(s.config.vocab_size) ||
      hidden.size() != rows.hidden * static_cast<size_t>(s.config.dim)) {
    return make_error(
        ErrorCode::kInternal,
        "{} KV layers, {} logits and {} hidden values do not fit {} layers, {} and {} "
        "rows",
        kv.size(), logits.size(), hidden.size(), s.config.layers, rows.logits, rows.hidden);
  }
  const ForwardContext context{
      s.config, s.weights, *s.rope, *s.window_rope, kernels::kernels_for(s.isa), s.pool, *s.space};
  Status status = run_forward(context, batch, kv, kv_layout(page_tokens), logits, hidden);
  for (const Chunk& chunk : batch) s.embedded_tokens += chunk.tokens.size();
  if (s.embedded_tokens > kEmbeddedTokens) {
    s.file.release("token_embd.weight", gguf::File::Release::kReadLater);
    s.embedded_tokens = 0;
  }
  return status;
}

}  // namespace weir::model
