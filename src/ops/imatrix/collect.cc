#include "ops/imatrix/collect.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include "ops/eval/fingerprint.h"
#include "ops/eval/scored_rows.h"
#include "os/build_id.h"
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

bool is_expert(MatrixInput input) {
  return input == MatrixInput::kExpert || input == MatrixInput::kExpertDown;
}

std::vector<const gguf::Tensor*> tensors_of(const gguf::File& file, int32_t layer,
                                            MatrixInput input) {
  std::vector<const gguf::Tensor*> found;
  for (const Readers& r : kReaders) {
    if (r.input != input) continue;
    for (const std::string_view name : r.names) {
      if (name.empty()) continue;
      const gguf::Tensor* t = file.find_tensor(fmt::format("blk.{}.{}", layer, name));
      if (t != nullptr) found.push_back(t);
    }
  }
  return found;
}

// Columns of all inputs whose second moments are taken.
std::vector<uint64_t> moment_cols(const gguf::File& file) {
  std::map<std::pair<std::string, MatrixInput>, uint64_t> cols;  // by layer, "blk.N."
  for (const gguf::Tensor& t : file.tensors()) {
    const size_t dot = t.name.starts_with("blk.") ? t.name.find('.', 4) : std::string::npos;
    if (dot == std::string::npos) continue;
    const std::string_view name = std::string_view(t.name).substr(dot + 1);
    for (const Readers& r : kReaders) {
      if (!is_expert(r.input) && std::find(r.names.begin(), r.names.end(), name) != r.names.end())
        cols.emplace(std::pair(t.name.substr(0, dot), r.input), t.shape[0]);
    }
  }
  std::vector<uint64_t> all;
  all.reserve(cols.size());
  for (const auto& [input, n] : cols) all.push_back(n);
  return all;
}

class Collector {
 public:
  // pool: nullptr, or what computes second moments. sums: to go on from.
  Collector(const gguf::File& file, kernels::ThreadPool* pool, CollectedSums sums)
      : file_(file), pool_(pool), sums_(std::move(sums)) {}

  void add(const model::ObservedInput& in) {
    if (in.reader == MatrixInput::kCachedKeys || in.reader == MatrixInput::kCachedValues)
      return add_cached(in);
    InputSums& sums = of(in);
    const auto matrix = static_cast<size_t>(in.expert);
    if (sums.cols != in.cols || matrix >= sums.counts.size()) return does_not_fit();
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
    MomentSums& moments = sums_.moments.try_emplace({in.layer, in.reader}, in.cols).first->second;
    if (moments.cols() != in.cols) return does_not_fit();
    moments.add(in.x, in.ldx, in.rows, *pool_);
  }

  // After each chunk. Error: kCorrupt when the sums to go on from are of another model.
  Status end_chunk() {
    ++sums_.chunks;
    if (fits_) return {};
    return make_error(ErrorCode::kCorrupt,
                      "what an unfinished run kept is of a model with other sizes: remove it");
  }

  const CollectedSums& sums() const { return sums_; }

  std::vector<InputMoments> take_moments() {
    std::vector<InputMoments> all;
    for (auto& [key, sums] : sums_.moments) {
      InputMoments input{{}, std::move(sums)};
      for (const gguf::Tensor* t : tensors_of(file_, key.first, key.second))
        input.matrices.push_back(t->name);
      if (!input.matrices.empty()) all.push_back(std::move(input));
    }
    return all;
  }

  Result<ImportanceMatrix> finish() const {
    ImportanceMatrix m;
    for (const auto& [key, sums] : sums_.inputs) {
      for (const gguf::Tensor* t : tensors_of(file_, key.first, key.second)) {
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
    for (const auto& [layer, cached] : sums_.cache) m.cache.push_back(cached);
    return m;
  }

 private:
  void does_not_fit() { fits_ = false; }

  void add_cached(const model::ObservedInput& in) {
    CachedLargest& cached = sums_.cache[in.layer];
    cached.layer = in.layer;
    auto& largest = in.reader == MatrixInput::kCachedKeys ? cached.keys : cached.values;
    if (largest.empty()) largest.resize(in.cols);
    if (largest.size() != in.cols) return does_not_fit();
    for (size_t row = 0; row < in.rows; ++row) {
      for (size_t i = 0; i < in.cols; ++i)
        largest[i] = std::max(largest[i], std::fabs(in.x[row * in.ldx + i]));
    }
  }

  InputSums& of(const model::ObservedInput& in) {
    InputSums& sums = sums_.inputs[{in.layer, in.reader}];
    if (sums.cols > 0) return sums;
    size_t matrices = 1;
    for (const gguf::Tensor* t : tensors_of(file_, in.layer, in.reader))
      matrices = std::max<size_t>(matrices, t->shape.size() > 2 ? t->shape[2] : 1);
    sums.cols = in.cols;
    sums.squares.resize(matrices * in.cols);
    sums.largest.resize(matrices * in.cols);
    sums.counts.resize(matrices);
    return sums;
  }

  const gguf::File& file_;
  kernels::ThreadPool* pool_;
  CollectedSums sums_;
  bool fits_ = true;
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

Status check_memory(const gguf::File& file) {
  uint64_t bytes = 0;
  for (const uint64_t cols : moment_cols(file)) bytes += MomentSums::bytes(cols);
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

// What the sums depend on; what people choose comes first, so that they read what differs.
RunFingerprint fingerprint(const engine::LoadedModel& model, std::span<const int32_t> tokens,
                           const CollectOptions& options, bool with_moments) {
  const auto chunks = tokens.size() / static_cast<size_t>(options.context_tokens);
  return {{"the model", hex(model.identity())},
          {"the tokens of a chunk (--ctx)", fmt::format("{}", options.context_tokens)},
          {"the number of chunks", fmt::format("{}", chunks)},
          {"second moments (--moments)", with_moments ? "taken" : "not taken"},
          {"the text", hex(bytes_hash(std::as_bytes(tokens)))},
          {"the kernels", std::string(kernels::isa_name(model.isa()))},
          {"the build of weir", os::build_id()}};
}

// The chunks that the collector does not have yet.
Status add_chunks(engine::LoadedModel& model, std::span<const int32_t> tokens, int32_t context,
                  Collector& collector, Keeper* keeper, const CollectProgress& progress) {
  const int32_t page_tokens = model.runner().page_tokens();
  std::vector<int32_t> pages(static_cast<size_t>((context + page_tokens - 1) / page_tokens));
  std::iota(pages.begin(), pages.end(), 0);
  const std::optional<int32_t> bos =
      model.tokenizer().adds_bos() ? model.tokenizer().bos() : std::nullopt;
  const auto chunks = static_cast<int64_t>(tokens.size()) / context;
  model.observe_inputs([&](const model::ObservedInput& in) { collector.add(in); });
  Status status;
  for (int64_t i = collector.sums().chunks; i < chunks && status.ok(); ++i) {
    const auto text =
        tokens.subspan(static_cast<size_t>(i * context), static_cast<size_t>(context));
    std::vector<int32_t> chunk(text.begin(), text.end());
    if (bos) chunk[0] = *bos;
    status = run_chunk(model, chunk, pages);
    if (status.ok()) status = collector.end_chunk();
    if (progress) progress(i + 1, chunks);
    // The last chunk's sums become the result at once.
    if (status.ok() && keeper != nullptr && i + 1 < chunks) keeper->chunk_done(collector.sums());
  }
  model.observe_inputs(nullptr);
  return status;
}

}  // namespace

Result<Collected> collect_importance(engine::LoadedModel& model, std::span<const int32_t> tokens,
                                     const CollectOptions& options, bool with_moments,
                                     const CollectProgress& progress) {
  const int32_t context = options.context_tokens;
  WEIR_ASSIGN(const int64_t chunks, chunks_of(model, tokens.size(), options));
  tokens = tokens.first(static_cast<size_t>(chunks * context));
  if (with_moments) WEIR_TRY(check_memory(model.file()));
  std::optional<Keeper> keeper;
  std::optional<CollectedSums> before;
  if (options.keeping != nullptr) {
    keeper.emplace(*options.keeping, fingerprint(model, tokens, options, with_moments));
    WEIR_ASSIGN(before, keeper->take_up(chunks));
  }
  std::optional<kernels::ThreadPool> pool;
  if (with_moments) pool.emplace(options.threads);
  Collected result;
  if (before) result.taken_over = before->chunks;
  Collector collector(model.file(), pool ? &*pool : nullptr,
                      before ? std::move(*before) : CollectedSums());
  WEIR_TRY(add_chunks(model, tokens, context, collector, keeper ? &*keeper : nullptr, progress));
  auto matrix = collector.finish();
  if (!matrix.ok()) {
    if (keeper) keeper->discard();
    return std::move(matrix).error();
  }
  result.matrix = std::move(matrix).value();
  result.matrix.chunks = static_cast<uint32_t>(chunks);
  result.matrix.chunk_tokens = static_cast<uint32_t>(context);
  result.matrix.windows = windows_of(tokens, hex(vocabulary_hash(model.tokenizer())));
  if (with_moments) result.moments = collector.take_moments();
  return result;
}

uint64_t moments_file_bytes(const gguf::File& model) {
  uint64_t bytes = 0;
  for (const uint64_t cols : moment_cols(model)) bytes += moments_tensor_bytes(cols);
  return bytes;
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
