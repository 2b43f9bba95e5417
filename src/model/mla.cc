#include "model/mla.h"

#include <algorithm>
#include <vector>

#include "kernels/matmul.h"
#include "kernels/ops.h"

namespace weir::model {
namespace {

struct Widths {
  explicit Widths(const Config& c)
      : heads(static_cast<size_t>(c.heads)),
        rank(static_cast<size_t>(c.latent.kv_rank)),
        plain(static_cast<size_t>(c.latent.plain_dim)),
        rotated(static_cast<size_t>(c.rope.dims)),
        value(static_cast<size_t>(c.latent.value_dim)) {}
  size_t heads, rank, plain, rotated, value;
  size_t key() const { return rank + rotated; }
  size_t query() const { return plain + rotated; }
};

// y[t, h] = weights[h] · x[t, h] for every head. x: [tokens, heads] of ldx values, of which the
// first weights[h].cols() are read; y: [tokens, heads] of ldy.
void matmul_heads(const kernels::Kernels& kernels, kernels::ThreadPool& pool,
                  const std::vector<kernels::PackedMatrix>& weights, LatentSpace& space,
                  const float* x, size_t ldx, size_t tokens, float* y, size_t ldy) {
  const size_t heads = weights.size();
  std::vector<kernels::MatmulJob> jobs;
  for (size_t h = 0; h < heads; ++h) {
    space.heads[h].quantize(kernels, pool, x + h * ldx, heads * ldx, tokens, weights[h].cols());
    jobs.push_back({&weights[h], y + h * ldy, heads * ldy});
  }
  kernels::matmul_each(kernels, pool, space.heads, jobs);
}

}  // namespace

void project_latent(const kernels::Kernels& kernels, kernels::ThreadPool& pool,
                    const Config& config, const LatentWeights& weights, Workspace& space,
                    size_t tokens) {
  const Widths w(config);
  LatentSpace& own = space.latent;
  const kernels::MatmulJob keys{&weights.kv_a, space.k.data(), w.key()};
  if (weights.q_a.empty()) {
    const kernels::MatmulJob jobs[] = {{&weights.q, own.q.data(), w.heads * w.query()}, keys};
    kernels::matmul(kernels, pool, space.activations, jobs);
  } else {
    const size_t rank = weights.q_a.rows();
    const kernels::MatmulJob jobs[] = {{&weights.q_a, own.q_low.data(), rank}, keys};
    kernels::matmul(kernels, pool, space.activations, jobs);
    own.low.quantize_rms_norm(kernels, pool, own.q_low.data(), rank, tokens, rank,
                              weights.q_a_norm.data(), config.norm_epsilon);
    space.observe(MatrixInput::kLatentQuery, own.low);
    const kernels::MatmulJob up{&weights.q, own.q.data(), w.heads * w.query()};
    kernels::matmul(kernels, pool, own.low, {&up, 1});
  }
  kernels::rms_norm(kernels, pool, space.k.data(), w.key(), tokens, w.rank,
                    weights.kv_a_norm.data(), config.norm_epsilon, space.k.data(), w.key());
  matmul_heads(kernels, pool, weights.absorb, own, own.q.data(), w.query(), tokens, space.q.data(),
               w.key());
  for (size_t row = 0; row < tokens * w.heads; ++row) {
    std::copy_n(own.q.data() + row * w.query() + w.plain, w.rotated,
                space.q.data() + row * w.key() + w.rank);
  }
  const auto style = config.arch->rope == RopeKind::kHalves ? kernels::RopeStyle::kHalves
                                                            : kernels::RopeStyle::kInterleaved;
  const auto rotate = [&](float* x, size_t heads) {
    kernels::rope(kernels, pool, x + w.rank, heads * w.key(), tokens, heads, w.key(), w.rotated,
                  style, space.cos.data(), space.sin.data());
  };
  rotate(space.q.data(), w.heads);
  rotate(space.k.data(), 1);
}

void expand_latent(const kernels::Kernels& kernels, kernels::ThreadPool& pool, const Config& config,
                   const LatentWeights& weights, Workspace& space, size_t tokens) {
  const Widths w(config);
  matmul_heads(kernels, pool, weights.expand, space.latent, space.latent.mixed.data(), w.rank,
               tokens, space.attention.data(), w.value);
}

}  // namespace weir::model
