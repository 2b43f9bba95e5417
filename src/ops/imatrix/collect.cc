#include "ops/imatrix/collect.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include "ops/eval/fingerprint.h"
#include "ops/eval/scored_rows.h"
#include "os/memory.h"

namespace weir::ops {
namespace {

using model::MatrixInput;

// The names, after "blk.N.", of the matrices that read an input; a file has some of them.
struct Readers {
  MatrixInput input;
  std::array<std::string_view, 6> names;
};
constexpr Readers kReaders[] = {
    {MatrixInput::kAttention,
     {"attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_qkv.weight", "attn_q_a.weight",
      "attn_kv_a_mqa.weight"}},
    {MatrixInput::kLatentQuery, {"attn_q_b.weight"}},
    {MatrixInput::kAttentionOutput, {"attn_output.weight"}},
    {MatrixInput::kFeedForward, {"ffn_gate.weight", "ffn_up.weight"}},
    {MatrixInput::kDown, {"ffn_down.weight"}},
    {MatrixInput::kExpert,
     {"ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_gate_up_exps.weight"}},
    {MatrixInput::kExpertDown, {"ffn_down_exps.weight"}},
    {MatrixInput::kSharedExpert, {"ffn_gate_shexp.weight", "ffn_up_shexp.weight"}},
    {MatrixInput::kSharedExpertDown, {"ffn_down_shexp.weight"}},
};

// Sums in double precision: a long text adds millions of squares.
struct Sums {
  size_t cols = 0;
  std::vector<double> squares;  // [matrices, cols]
  std::vector<double> counts;   // [matrices]
  std::vector<float> largest;   // [matrices, cols]
};

class Collector {
 public:
  // pool: nullptr, or what computes second moments.
  Collector(const gguf::File& file, kernels::ThreadPool* pool) : file_(file), pool_(pool) {}

  void add(const model::ObservedInput& in) {
    if (in.reader == MatrixInput::kCachedKeys || in.reader == MatrixInput::kCachedValues)
      return add_cached(in);
    Sums& sums = of(in);
    const auto matrix = static_cast<size_t>(in.expert);
    double* squares = sums.squares.data() + matrix * sums.cols;
    float* largest = sums.largest.data() + matrix * sums.cols;
    for (size_t row = 0; row < in.rows; ++row) {
      const float* x = in.x + row * in.ldx;
      for (size_t i = 0; i < in.cols; ++i) {
        const double v = x[i];
        squares[i] += v * v;
        largest[i] = std::max(largest[i], std::fabs(x[i]));
      }
    }
    sums.counts[matrix] += static_cast<double>(in.rows);
    if (pool_ == nullptr || is_expert(in.reader)) return;
    moments_.try_emplace({in.layer, in.reader}, in.cols)
        .first->second.add(in.x, in.ldx, in.rows, *pool_);
  }

  // What the second moments of all inputs of so many layers take.
  uint64_t moments_bytes(int32_t layers) const {
    uint64_t bytes = 0;
    for (int32_t layer = 0; layer < layers; ++layer) {
      for (const Readers& r : kReaders) {
        const auto readers = tensors(layer, r.input);
        if (!readers.empty() && !is_expert(r.input))
          bytes += MomentSums::bytes(readers.front()->shape[0]);
      }
    }
    return bytes;
  }

  std::vector<InputMoments> take_moments() {
    std::vector<InputMoments> all;
    for (auto& [key, sums] : moments_) {
      InputMoments input{{}, std::move(sums)};
      for (const gguf::Tensor* t : tensors(key.first, key.second))
        input.matrices.push_back(t->name);
      if (!input.matrices.empty()) all.push_back(std::move(input));
    }
    return all;
  }

  Result<ImportanceMatrix> finish() const {
    ImportanceMatrix m;
    for (const auto& [key, sums] : sums_) {
      for (const gguf::Tensor* t : tensors(key.first, key.second)) {
        ImportanceEntry e;
        e.name = t->name;
        e.sum_squares.assign(sums.squares.begin(), sums.squares.end());
        e.counts.assign(sums.counts.begin(), sums.counts.end());
        e.largest = sums.largest;
        if (!std::all_of(e.sum_squares.begin(), e.sum_squares.end(),
                         [](float v) { return std::isfinite(v); })) {
          return make_error(ErrorCode::kInternal,
                            "the input of {} is not finite on this text; the model cannot be "
                            "calibrated with it",
                            t->name);
        }
        m.entries.push_back(std::move(e));
      }
    }
    std::sort(m.entries.begin(), m.entries.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    for (const auto& [layer, cached] : cached_) m.cache.push_back(cached);
    return m;
  }

 private:
  using Key = std::pair<int32_t, MatrixInput>;

  void add_cached(const model::ObservedInput& in) {
    CachedLargest& cached = cached_[in.layer];
    cached.layer = in.layer;
    auto& largest = in.reader == MatrixInput::kCachedKeys ? cached.keys : cached.values;
    largest.resize(in.cols);
    for (size_t row = 0; row < in.rows; ++row) {
      for (size_t i = 0; i < in.cols; ++i)
        largest[i] = std::max(largest[i], std::fabs(in.x[row * in.ldx + i]));
    }
  }

  static bool is_expert(MatrixInput input) {
    return input == MatrixInput::kExpert || input == MatrixInput::kExpertDown;
  }

  std::vector<const gguf::Tensor*> tensors(int32_t layer, MatrixInput input) const {
    std::vector<const gguf::Tensor*> found;
    for (const Readers& r : kReaders) {
      if (r.input != input) continue;
      for (const std::string_view name : r.names) {
        if (name.empty()) continue;
        const gguf::Tensor* t = file_.find_tensor(fmt::format("blk.{}.{}", layer, name));
        if (t != nullptr) found.push_back(t);
      }
    }
    return found;
  }

  Sums& of(const model::ObservedInput& in) {
    Sums& sums = sums_[{in.layer, in.reader}];
    if (sums.cols > 0) return sums;
    size_t matrices = 1;
    for (const gguf::Tensor* t : tensors(in.layer, in.reader))
      matrices = std::max<size_t>(matrices, t->shape.size() > 2 ? t->shape[2] : 1);
    sums.cols = in.cols;
    sums.squares.resize(matrices * in.cols);
    sums.largest.resize(matrices * in.cols);
    sums.counts.resize(matrices);
    return sums;
  }

  const gguf::File& file_;
  kernels::ThreadPool* pool_;
  std::map<Key, Sums> sums_;
  std::map<Key, MomentSums> moments_;
  std::map<int32_t, CachedLargest> cached_;
};

// Evaluates a chunk for its inner states alone.
Status run_chunk(engine::LoadedModel& loaded, std::span<const int32_t> chunk,
                 std::span<const int32_t> pages) {
  engine::Runner& runner = loaded.runner();
  const auto step = static_cast<size_t>(runner.max_step_tokens());
  std::vector<float> hidden;
  for (size_t at = 0; at < chunk.size(); at += step) {
    model::Chunk part;
    part.tokens = chunk.subspan(at, std::min(step, chunk.size() - at));
    part.position = static_cast<int32_t>(at);
    part.pages = pages;
    // The last layer computes only the rows that somebody wants.
    part.hidden_rows = static_cast<int32_t>(part.tokens.size());
    hidden.resize(part.tokens.size() * static_cast<size_t>(loaded.config().dim));
    WEIR_TRY(runner.forward(std::span(&part, 1), {}, hidden));
  }
  return {};
}

Status check_memory(uint64_t bytes) {
  WEIR_ASSIGN(const uint64_t available, os::available_memory_bytes());
  if (bytes <= available) return {};
  return make_error(ErrorCode::kOutOfMemory,
                    "the second moments take {} MiB, and {} MiB of memory are free; leave "
                    "--moments out, or take a machine with more",
                    bytes >> 20, available >> 20);
}

Result<int64_t> chunks_of(engine::LoadedModel& model, size_t tokens,
                          const CollectOptions& options) {
  if (model.config().arch->encoder) {
    return make_error(ErrorCode::kUnsupported,
                      "the importance of an encoder's columns is not collected; quantize it "
                      "without --imatrix");
  }
  return count_chunks(tokens, options.context_tokens, model.runner().max_context_tokens(),
                      options.max_chunks, 1);
}

// Layers that only one of the files knows are not known then.
Status add_cache(ImportanceMatrix& sum, const ImportanceMatrix& more) {
  if (sum.cache.empty() || more.cache.empty()) {
    sum.cache.clear();
    return {};
  }
  const auto raise = [](std::vector<float>& to, const std::vector<float>& by) {
    for (size_t i = 0; i < to.size(); ++i) to[i] = std::max(to[i], by[i]);
  };
  const auto alike = [](const CachedLargest& a, const CachedLargest& b) {
    return a.layer == b.layer && a.keys.size() == b.keys.size() &&
           a.values.size() == b.values.size();
  };
  if (!std::equal(sum.cache.begin(), sum.cache.end(), more.cache.begin(), more.cache.end(),
                  alike)) {
    return make_error(ErrorCode::kCorrupt,
                      "the largest keys and values are of {} layers in one file, of {} or other "
                      "sizes in the other: they are of different models",
                      sum.cache.size(), more.cache.size());
  }
  for (size_t i = 0; i < sum.cache.size(); ++i) {
    raise(sum.cache[i].keys, more.cache[i].keys);
    raise(sum.cache[i].values, more.cache[i].values);
  }
  return {};
}

}  // namespace

Result<ImportanceMatrix> collect_importance(engine::LoadedModel& model,
                                            std::span<const int32_t> tokens,
                                            const CollectOptions& options,
                                            std::vector<InputMoments>* moments,
                                            const CollectProgress& progress) {
  const int32_t context = options.context_tokens;
  engine::Runner& runner = model.runner();
  WEIR_ASSIGN(const int64_t chunks, chunks_of(model, tokens.size(), options));
  const int32_t page_tokens = runner.page_tokens();
  std::vector<int32_t> pages(static_cast<size_t>((context + page_tokens - 1) / page_tokens));
  std::iota(pages.begin(), pages.end(), 0);
  const std::optional<int32_t> bos =
      model.tokenizer().adds_bos() ? model.tokenizer().bos() : std::nullopt;

  std::optional<kernels::ThreadPool> pool;
  if (moments != nullptr) pool.emplace(options.threads);
  Collector collector(model.file(), pool ? &*pool : nullptr);
  if (moments != nullptr) WEIR_TRY(check_memory(collector.moments_bytes(model.config().layers)));
  model.observe_inputs([&](const model::ObservedInput& in) { collector.add(in); });
  Status status;
  for (int64_t i = 0; i < chunks && status.ok(); ++i) {
    const auto text =
        tokens.subspan(static_cast<size_t>(i * context), static_cast<size_t>(context));
    std::vector<int32_t> chunk(text.begin(), text.end());
    if (bos) chunk[0] = *bos;
    status = run_chunk(model, chunk, pages);
    if (progress) progress(i + 1, chunks);
  }
  model.observe_inputs(nullptr);
  WEIR_TRY(status);
  WEIR_ASSIGN(ImportanceMatrix matrix, collector.finish());
  matrix.chunks = static_cast<uint32_t>(chunks);
  matrix.chunk_tokens = static_cast<uint32_t>(context);
  matrix.windows = windows_of(tokens.first(static_cast<size_t>(chunks * context)),
                              hex(vocabulary_hash(model.tokenizer())));
  if (moments != nullptr) *moments = collector.take_moments();
  return matrix;
}

Status add_importance(ImportanceMatrix& sum, const ImportanceMatrix& more) {
  WEIR_TRY(add_cache(sum, more));
  for (const ImportanceEntry& e : more.entries) {
    const auto at =
        std::lower_bound(sum.entries.begin(), sum.entries.end(), e.name,
                         [](const auto& a, const std::string& n) { return a.name < n; });
    if (at == sum.entries.end() || at->name != e.name) {
      sum.entries.insert(at, e);
      continue;
    }
    if (at->sum_squares.size() != e.sum_squares.size() || at->counts.size() != e.counts.size()) {
      return make_error(ErrorCode::kCorrupt,
                        "the importance of '{}' has {} values in {} matrices in one file, {} in {} "
                        "in the other: they are of different models, or one is a .dat",
                        e.name, at->sum_squares.size(), at->counts.size(), e.sum_squares.size(),
                        e.counts.size());
    }
    for (size_t i = 0; i < e.sum_squares.size(); ++i) at->sum_squares[i] += e.sum_squares[i];
    for (size_t i = 0; i < e.counts.size(); ++i) at->counts[i] += e.counts[i];
    // What one file does not know, the sum does not.
    if (at->largest.size() != e.largest.size()) at->largest.clear();
    for (size_t i = 0; i < at->largest.size(); ++i)
      at->largest[i] = std::max(at->largest[i], e.largest[i]);
  }
  // A text that a .dat or another tool does not tell of stays unknown.
  if (sum.windows && more.windows) {
    WEIR_ASSIGN(sum.windows, merge(*sum.windows, *more.windows));
  } else if (more.windows) {
    sum.windows = more.windows;
  }
  sum.chunks += more.chunks;
  sum.datasets.insert(sum.datasets.end(), more.datasets.begin(), more.datasets.end());
  return {};
}

}  // namespace weir::ops
