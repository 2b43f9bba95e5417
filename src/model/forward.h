// The forward pass: one call's walk over the layers.
#pragma once

#include <span>

#include "base/result.h"
#include "kernels/attention.h"
#include "kernels/kernels.h"
#include "kernels/thread_pool.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/rope.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace weir::model {

// What stays the same from call to call. All borrowed.
struct ForwardContext {
  const Config& config;
  const Weights& weights;
  const RopeTable& rope;
  const RopeTable& window_rope;
  const kernels::Kernels& kernels;
  kernels::ThreadPool& pool;
  Workspace& space;
};

// See Model::forward; the batch has been checked.
Status run_forward(const ForwardContext& context, std::span<const Chunk> batch,
                   std::span<const kernels::KvPools> kv, const kernels::KvLayout& layout,
                   std::span<float> logits, std::span<float> hidden);

}  // namespace weir::model
