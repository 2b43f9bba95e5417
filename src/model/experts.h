// The feed-forward part of a mixture-of-experts layer. Tokens are grouped by expert, so that a step
// reads each expert's weights once.
#pragma once

#include "kernels/kernels.h"
#include "kernels/thread_pool.h"
#include "model/config.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace weir::model {

// out[t] = sum over the token's experts, in the order of their index, of weight * expert(x[t]),
// then the shared expert. x: the normed rows in space.activations, [rows, dim]; out: [rows, dim],
// not space.expert_in or expert_out. What a token gets depends on its row alone.
void run_experts(const kernels::Kernels& kernels, kernels::ThreadPool& pool, const Config& config,
                 const ExpertWeights& weights, Workspace& space, size_t rows, float* out);

// hidden = activation(gate·x) * up·x, or activation(up·x) without a gate. hidden: [tokens,
// ffn_dim].
void run_ffn_up(const kernels::Kernels& kernels, kernels::ThreadPool& pool,
                kernels::Activation activation, const FeedForward& ffn,
                const kernels::Activations& x, float* hidden);

}  // namespace weir::model
