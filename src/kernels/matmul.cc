#include "kernels/matmul.h"

#include <algorithm>
#include <cstring>

#include "kernels/table.h"

namespace weir::kernels {

// The internal view of Activations.
struct ActivationAccess {
  static ActivationView tile(const Activations& a, size_t i) {
    const size_t blocks = a.cols_ / kBlock;
    const size_t first = i * blocks * a.tile_width_;
    ActivationView view;
    view.x = a.x_ + i * a.tile_width_ * a.ldx_;
    view.ldx = a.ldx_;
    view.width = a.tile_width_;
    if (a.quantized()) {
      view.codes = a.codes_.as<int8_t>() + first * kBlock;
      view.scales = a.scales_.as<float>() + first;
      view.neg8_sums = a.neg8_sums_.as<int32_t>() + first;
      view.scaled_sums = a.scaled_sums_.as<float>() + first;
      view.half_sums = a.half_sums_.as<int32_t>() + 2 * first;
    }
    return view;
  }
  static size_t tile_tokens(const Activations& a, size_t i) {
    return std::min(a.tile_width_, a.tokens_ - i * a.tile_width_);
  }
};

namespace {

// A region costs about a microsecond; rows below this many values are quantized faster by the
// caller alone.
constexpr size_t kParallelValues = 8192;
// Panels of one task stay within this, so that they are read from L2 for every tile of tokens after
// the first.
constexpr size_t kGroupBytes = 256 << 10;
// What a task should take at least: a claim costs some 50 ns, the last task is waited for.
constexpr double kTaskNs = 1500.0;
// Tasks that a thread gets at most, so that threads end together: of one tile of tokens, which ends
// soon, fewer (docs/PERFORMANCE.md).
constexpr size_t kTasksOfOneTile = 3;
constexpr size_t kTasksOfManyTiles = 6;
// Rough speed of one core, for cutting tasks only: multiply-adds and weight bytes per ns.
constexpr double kMacsPerNs = 250.0;
constexpr double kBytesPerNs = 16.0;

void grow(AlignedBuffer& buffer, size_t bytes) {
  if (buffer.size() < bytes) buffer = AlignedBuffer::allocate(bytes + bytes / 2);
}

}  // namespace

void Activations::reserve(size_t tokens, size_t cols) {
  tokens_ = tokens;
  cols_ = cols;
  const size_t tiles = (tokens + kMaxTileTokens - 1) / kMaxTileTokens;
  tile_width_ = tiles == 0 ? 0 : (tokens + tiles - 1) / tiles;
  if (!quantized()) return;
  const size_t padded = this->tiles() * tile_width_;
  const size_t blocks = padded * (cols / kBlock);
  grow(codes_, blocks * kBlock);
  grow(scales_, blocks * sizeof(float));
  grow(neg8_sums_, blocks * sizeof(int32_t));
  grow(scaled_sums_, blocks * sizeof(float));
  grow(half_sums_, blocks * 2 * sizeof(int32_t));
}

void Activations::quantize_row(const Kernels& kernels, size_t token) {
  const size_t blocks = cols_ / kBlock;
  const size_t tile = token / tile_width_ * blocks * tile_width_;
  const size_t slot = tile + token % tile_width_;
  QuantizedRow out;
  out.codes = codes_.as<int8_t>() + slot * kBlock;
  out.code_stride = tile_width_ * kBlock;
  out.scales = scales_.as<float>() + slot;
  out.neg8_sums = neg8_sums_.as<int32_t>() + slot;
  out.scaled_sums = scaled_sums_.as<float>() + slot;
  out.half_sums = half_sums_.as<int32_t>() + tile + slot;
  out.stride = tile_width_;
  kernels.quantize_row(x_ + token * ldx_, cols_, out);
}

void Activations::quantize(const Kernels& kernels, ThreadPool& pool, const float* x, size_t ldx,
                           size_t tokens, size_t cols) {
  reserve(tokens, cols);
  x_ = x;
  ldx_ = ldx;
  if (!quantized()) return;
  for_each_row(pool, [&](size_t token) { quantize_row(kernels, token); });
}

void Activations::quantize_rms_norm(const Kernels& kernels, ThreadPool& pool, const float* x,
                                    size_t ldx, size_t tokens, size_t cols, const float* weight,
                                    float epsilon) {
  reserve(tokens, cols);
  grow(rows_, tokens * cols * sizeof(float));
  auto* rows = rows_.as<float>();
  x_ = rows;
  ldx_ = cols;
  for_each_row(pool, [&](size_t token) {
    kernels.rms_norm_row(x + token * ldx, cols, weight, epsilon, rows + token * cols);
    if (quantized()) quantize_row(kernels, token);
  });
}

void Activations::quantize_layer_norm(const Kernels& kernels, ThreadPool& pool, const float* x,
                                      size_t ldx, size_t tokens, size_t cols, const float* weight,
                                      const float* bias, float epsilon) {
  reserve(tokens, cols);
  grow(rows_, tokens * cols * sizeof(float));
  auto* rows = rows_.as<float>();
  x_ = rows;
  ldx_ = cols;
  for_each_row(pool, [&](size_t token) {
    kernels.layer_norm_row(x + token * ldx, cols, weight, bias, epsilon, rows + token * cols);
    if (quantized()) quantize_row(kernels, token);
  });
}

// The rows of a tile lie interleaved, so a task is a whole tile: no two workers write one cache
// line (tasks of a few rows cost 2.5 ns a value, of which sharing lines was the greater part).
void Activations::for_each_row(ThreadPool& pool, FunctionRef<void(size_t)> row) const {
  const size_t step = tokens_ * cols_ < kParallelValues ? tokens_ : tile_width_;
  const size_t tasks = step == 0 ? 0 : (tokens_ + step - 1) / step;
  pool.parallel_for(tasks, [&](size_t task, size_t) {
    for (size_t t = task * step; t < std::min(tokens_, (task + 1) * step); ++t) row(t);
  });
}

namespace {

// How many panels of w one task takes.
size_t panels_per_task(const PackedMatrix& w, size_t tokens, size_t threads) {
  const double macs = static_cast<double>(w.cols() * w.panel_rows() * tokens);
  const double ns = std::max(macs / kMacsPerNs, static_cast<double>(w.panel_bytes()) / kBytesPerNs);
  const auto long_enough = static_cast<size_t>(kTaskNs / ns) + 1;
  // One tile of tokens reads its panels once: nothing to keep in a cache.
  const bool one_tile = tokens <= kMaxTileTokens;
  const size_t in_cache =
      one_tile ? w.panels() : std::max<size_t>(1, kGroupBytes / w.panel_bytes());
  const size_t tasks = threads * (one_tile ? kTasksOfOneTile : kTasksOfManyTiles);
  const size_t balanced = std::max<size_t>(1, w.panels() / tasks);
  return std::min(std::max(long_enough, std::min(in_cache, balanced)), in_cache);
}

size_t rows_of_panel(const PackedMatrix& w, size_t p) {
  return std::min(w.panel_rows(), w.rows() - p * w.panel_rows());
}

void add_bias_tile(const float* bias, size_t tokens, size_t rows, float* y, size_t ldy) {
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t r = 0; r < rows; ++r) y[t * ldy + r] += bias[r];
  }
}

// Panels [first, last) of one job for all tokens.
void run_panels(const Kernels& kernels, const Activations& a, const MatmulJob& job, size_t first,
                size_t last) {
  const PackedMatrix& w = *job.w;
  const MatmulTile tile = kernels.matmul[static_cast<size_t>(w.format())];
  for (size_t i = 0; i < a.tiles(); ++i) {
    const ActivationView view = ActivationAccess::tile(a, i);
    const size_t tokens = ActivationAccess::tile_tokens(a, i);
    for (size_t p = first; p < last; ++p) {
      float* y = job.y + i * a.tile_width() * job.ldy + p * w.panel_rows();
      const size_t rows = rows_of_panel(w, p);
      tile(w.panel(p), w.cols(), view, tokens, y, job.ldy, rows, job.add);
      if (job.bias != nullptr)
        add_bias_tile(job.bias + p * w.panel_rows(), tokens, rows, y, job.ldy);
    }
  }
}

// All jobs in one region; inputs(i) are the activations of job i.
template <typename Inputs>
void run_jobs(const Kernels& kernels, ThreadPool& pool, std::span<const MatmulJob> jobs,
              const Inputs& inputs) {
  const auto step = [&](size_t i) {
    return panels_per_task(*jobs[i].w, inputs(i).tokens(), pool.threads());
  };
  size_t tasks = 0;
  for (size_t i = 0; i < jobs.size(); ++i) tasks += (jobs[i].w->panels() + step(i) - 1) / step(i);
  const bool none = jobs.empty() || inputs(0).tokens() == 0;
  pool.parallel_for(none ? 0 : tasks, [&](size_t task, size_t) {
    for (size_t i = 0; i < jobs.size(); ++i) {
      const MatmulJob& job = jobs[i];
      const size_t n = step(i);
      const size_t own = (job.w->panels() + n - 1) / n;
      if (task < own) {
        run_panels(kernels, inputs(i), job, task * n, std::min(job.w->panels(), (task + 1) * n));
        return;
      }
      task -= own;
    }
  });
}

}  // namespace

void matmul(const Kernels& kernels, ThreadPool& pool, const Activations& activations,
            std::span<const MatmulJob> jobs) {
  run_jobs(kernels, pool, jobs, [&](size_t) -> const Activations& { return activations; });
}

void matmul_each(const Kernels& kernels, ThreadPool& pool, std::span<const Activations> activations,
                 std::span<const MatmulJob> jobs) {
  run_jobs(kernels, pool, jobs, [&](size_t i) -> const Activations& { return activations[i]; });
}

namespace {

struct GatedJob {
  const PackedMatrix& gate;
  const PackedMatrix& up;
  Activation activation;
  const float* gate_bias;
  const float* up_bias;
  float* y;
  size_t ldy;
};

// Panels [first, last) of gate and up for all tokens; the up tile stays in a local buffer.
void run_gated_panels(const Kernels& kernels, const Activations& a, const GatedJob& job,
                      size_t first, size_t last) {
  constexpr size_t kMaxPanelRows = 16;
  alignas(64) float up_tile[kMaxTileTokens * kMaxPanelRows];
  const MatmulTile gate_fn = kernels.matmul[static_cast<size_t>(job.gate.format())];
  const MatmulTile up_fn = kernels.matmul[static_cast<size_t>(job.up.format())];
  const size_t panel_rows = job.gate.panel_rows();
  for (size_t i = 0; i < a.tiles(); ++i) {
    const ActivationView view = ActivationAccess::tile(a, i);
    const size_t tokens = ActivationAccess::tile_tokens(a, i);
    for (size_t p = first; p < last; ++p) {
      float* y = job.y + i * a.tile_width() * job.ldy + p * panel_rows;
      const size_t rows = rows_of_panel(job.gate, p);
      gate_fn(job.gate.panel(p), job.gate.cols(), view, tokens, y, job.ldy, rows, false);
      up_fn(job.up.panel(p), job.up.cols(), view, tokens, up_tile, panel_rows, rows, false);
      if (job.gate_bias != nullptr)
        add_bias_tile(job.gate_bias + p * panel_rows, tokens, rows, y, job.ldy);
      if (job.up_bias != nullptr)
        add_bias_tile(job.up_bias + p * panel_rows, tokens, rows, up_tile, panel_rows);
      for (size_t t = 0; t < tokens; ++t) {
        kernels.gate(job.activation, y + t * job.ldy, up_tile + t * panel_rows, rows,
                     y + t * job.ldy);
      }
    }
  }
}

}  // namespace

void matmul_gated(const Kernels& kernels, ThreadPool& pool, const Activations& activations,
                  const PackedMatrix& gate, const PackedMatrix& up, Activation activation, float* y,
                  size_t ldy, const float* gate_bias, const float* up_bias) {
  const GatedJob job{gate, up, activation, gate_bias, up_bias, y, ldy};
  const size_t n = (panels_per_task(gate, activations.tokens(), pool.threads()) + 1) / 2;
  const size_t tasks = activations.tokens() == 0 ? 0 : (gate.panels() + n - 1) / n;
  pool.parallel_for(tasks, [&](size_t task, size_t) {
    run_gated_panels(kernels, activations, job, task * n, std::min(gate.panels(), (task + 1) * n));
  });
}

}  // namespace weir::kernels
