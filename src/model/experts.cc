#include "model/experts.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul.h"
#include "kernels/ops.h"

namespace weir::model {
namespace {

const float* data_or_null(const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); }

// y += factor * x, n values.
void add_scaled(float factor, const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

class ExpertPass {
 public:
  ExpertPass(const kernels::Kernels& kernels, kernels::ThreadPool& pool, const Config& config,
             const ExpertWeights& weights, Workspace& space)
      : kernels_(kernels),
        pool_(pool),
        config_(config),
        weights_(weights),
        space_(space),
        dim_(static_cast<size_t>(config.dim)),
        used_(static_cast<size_t>(config.expert.used)) {}

  void run(size_t rows, float* out) {
    choose(rows);
    std::fill_n(out, rows * dim_, 0.0F);
    for (size_t e = 0; e < weights_.experts.size(); ++e)
      run_expert(static_cast<int32_t>(e), rows, out);
    if (!weights_.shared.up.empty()) run_shared(rows, out);
  }

 private:
  const float* row(size_t t) const { return space_.activations.x() + t * space_.activations.ldx(); }

  void choose(size_t rows) {
    const size_t experts = weights_.experts.size();
    pool_.parallel_for(rows, [&](size_t t, size_t) {
      std::vector<float> logits(experts);
      for (size_t e = 0; e < experts; ++e) {
        logits[e] = kernels::dot(kernels_, weights_.router.data() + e * dim_, row(t), dim_);
        if (!weights_.router_bias.empty()) logits[e] += weights_.router_bias[e];
      }
      route(config_.expert.route, logits, weights_.choice_bias,
            {space_.routes.data() + t * used_, used_});
    });
  }

  // The weight of expert e for token t; nullptr when it is not used.
  const Route* find(size_t t, int32_t e) const {
    for (size_t i = 0; i < used_; ++i) {
      const Route& r = space_.routes[t * used_ + i];
      if (r.expert == e) return &r;
    }
    return nullptr;
  }

  void down(const FeedForward& ffn, size_t n, MatrixInput reader, int32_t expert) {
    const size_t ffn_dim = ffn.down.cols();
    space_.expert_activations.quantize(kernels_, pool_, space_.hidden.data(), ffn_dim, n, ffn_dim);
    space_.observe(reader, space_.expert_activations, expert);
    const kernels::MatmulJob job{&ffn.down, space_.expert_out.data(), dim_,
                                 data_or_null(ffn.down_bias)};
    kernels::matmul(kernels_, pool_, space_.expert_activations, {&job, 1});
  }

  void run_expert(int32_t e, size_t rows, float* out) {
    size_t n = 0;
    for (size_t t = 0; t < rows; ++t) {
      if (find(t, e) != nullptr) std::copy_n(row(t), dim_, space_.expert_in.data() + n++ * dim_);
    }
    if (n == 0) return;
    const FeedForward& ffn = weights_.experts[static_cast<size_t>(e)];
    space_.expert_activations.quantize(kernels_, pool_, space_.expert_in.data(), dim_, n, dim_);
    space_.observe(MatrixInput::kExpert, space_.expert_activations, e);
    run_ffn_up(kernels_, pool_, config_.arch->activation, ffn, space_.expert_activations,
               space_.hidden.data());
    down(ffn, n, MatrixInput::kExpertDown, e);
    size_t i = 0;
    for (size_t t = 0; t < rows; ++t) {
      if (const Route* r = find(t, e); r != nullptr)
        add_scaled(r->weight, space_.expert_out.data() + i++ * dim_, dim_, out + t * dim_);
    }
  }

  void run_shared(size_t rows, float* out) {
    space_.observe(MatrixInput::kSharedExpert, space_.activations);
    run_ffn_up(kernels_, pool_, config_.arch->activation, weights_.shared, space_.activations,
               space_.hidden.data());
    down(weights_.shared, rows, MatrixInput::kSharedExpertDown, 0);
    for (size_t t = 0; t < rows; ++t) {
      float weight = 1.0F;
      if (!weights_.shared_gate.empty()) {
        const float logit = kernels::dot(kernels_, weights_.shared_gate.data(), row(t), dim_);
        weight = 1.0F / (1.0F + std::exp(-logit));
      }
      add_scaled(weight, space_.expert_out.data() + t * dim_, dim_, out + t * dim_);
    }
  }

  const kernels::Kernels& kernels_;
  kernels::ThreadPool& pool_;
  const Config& config_;
  const ExpertWeights& weights_;
  Workspace& space_;
  size_t dim_, used_;
};

}  // namespace

void run_experts(const kernels::Kernels& kernels, kernels::ThreadPool& pool, const Config& config,
                 const ExpertWeights& weights, Workspace& space, size_t rows, float* out) {
  ExpertPass(kernels, pool, config, weights, space).run(rows, out);
}

void run_ffn_up(const kernels::Kernels& kernels, kernels::ThreadPool& pool,
                kernels::Activation activation, const FeedForward& ffn,
                const kernels::Activations& x, float* hidden) {
  const size_t ffn_dim = ffn.up.rows();
  if (!ffn.gate.empty()) {
    kernels::matmul_gated(kernels, pool, x, ffn.gate, ffn.up, activation, hidden, ffn_dim,
                          data_or_null(ffn.gate_bias), data_or_null(ffn.up_bias));
    return;
  }
  const kernels::MatmulJob job{&ffn.up, hidden, ffn_dim, data_or_null(ffn.up_bias)};
  kernels::matmul(kernels, pool, x, {&job, 1});
  kernels::activate(kernels, pool, activation, hidden, ffn_dim, x.tokens(), ffn_dim);
}

}  // namespace weir::model
