#include "ops/plan/step_time.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace weir::ops {
namespace {

constexpr double kActivationBytes = 2;
constexpr double kMsPerS = 1000;
constexpr double kBitsPerByte = 8;

}  // namespace

size_t tokens_bucket(const engine::StepWork& work) {
  return std::bit_width(static_cast<uint64_t>(work.prefill_tokens + work.decode_tokens));
}

double MeasuredStepTime::ms(const engine::StepWork& work) const {
  const double ms = costs_.predict_ms(work);
  if (by_tokens_.empty()) return ms;
  return ms * by_tokens_[std::min(tokens_bucket(work), by_tokens_.size() - 1)];
}

RooflineStepTime::RooflineStepTime(const ModelShape& shape, const DeviceRates& rates,
                                   const Split& split, double kv_bytes,
                                   const Efficiency& efficiency) {
  const double bytes_per_weight = shape.bits_per_weight / kBitsPerByte;
  const double all = shape.parameters();
  // Embedding rows are looked up; where the output matrix is the embedding it is read all the same.
  const double rows = shape.tied ? 0 : shape.embedding_parameters() / 2;
  expert_bytes_ = shape.expert_parameters() * bytes_per_weight;
  dense_bytes_ = std::max(0.0, (all - rows) * bytes_per_weight - expert_bytes_);
  expert_share_ = shape.experts == 0 ? 0
                                     : static_cast<double>(shape.used_experts) /
                                           static_cast<double>(shape.experts);
  output_flops_ = 2 * static_cast<double>(shape.hidden) * static_cast<double>(shape.vocabulary);
  flops_per_token_ = std::max(0.0, 2 * shape.active_parameters() - output_flops_);
  attend(shape, split, kv_bytes);
  const double n = split.tensor;
  exchange(shape, split);
  flops_ = rates.flops * efficiency.compute * n;
  attention_flops_ = rates.attention_flops * efficiency.compute * n;
  bytes_ = rates.bytes * efficiency.memory * n;
  link_ = rates.link_bytes * efficiency.link;
  handed_ = rates.handed_bytes * efficiency.link;
  fixed_ms_ = efficiency.step_ms;
  collective_ms_ = efficiency.collective_ms;
}

void RooflineStepTime::attend(const ModelShape& shape, const Split& split, double kv_bytes) {
  const auto heads = static_cast<double>(shape.heads);
  const auto expanded = static_cast<double>(shape.head_dim + shape.value_dim);
  // On the latent itself: rank and rotated part for scores, rank for values.
  const auto absorbed = static_cast<double>(2 * shape.kv_rank + shape.rope_dim);
  const auto pairs = [&](double width) {
    return PerPair{2 * static_cast<double>(shape.count(Mixer::kFull)) * heads * width,
                   2 * static_cast<double>(shape.count(Mixer::kWindow)) * heads * width};
  };
  prefill_flops_ = pairs(expanded);
  decode_flops_ = pairs(shape.kv_rank > 0 ? absorbed : expanded);
  const double copies = shape.kv_copies(split.tensor);
  kv_read_ = {copies * shape.kv_bytes_per_token(Mixer::kFull, kv_bytes),
              copies * shape.kv_bytes_per_token(Mixer::kWindow, kv_bytes)};
  window_ = static_cast<double>(shape.window);
  state_bytes_ = shape.state_bytes_per_sequence();
}

// Counts what is exchanged and its bytes.
void RooflineStepTime::exchange(const ModelShape& shape, const Split& split) {
  const double row = static_cast<double>(shape.hidden) * kActivationBytes;
  const double n = split.tensor, e = split.expert;
  const double reduced = row * 2 * (n - 1) / n;  // of one all-reduce, a device's
  double all_reduces = 0, all_to_alls = 0;
  for (const ModelLayer& layer : shape.layers) {
    all_reduces += n > 1 ? 1 : 0;
    if (layer.experts && e > 1) {
      all_to_alls += 2;
    } else {
      all_reduces += n > 1 ? 1 : 0;
    }
  }
  const double sent = row * static_cast<double>(shape.used_experts) * (e - 1) / e / e;
  const double handed = split.pipeline - 1;
  collectives_ = all_reduces + all_to_alls + handed;
  exchanged_bytes_per_token_ = all_reduces * reduced + all_to_alls * sent;
  handed_bytes_per_token_ = handed * row;
}

double RooflineStepTime::attention_s(const engine::StepWork& work) const {
  const auto within = [this](double tokens, int64_t queries) {
    return window_ > 0 ? std::min(tokens, window_ * static_cast<double>(queries)) : tokens;
  };
  const auto pairs = static_cast<double>(work.prefill_kv_pairs);
  const double prefill_s =
      (pairs * prefill_flops_.full + within(pairs, work.prefill_tokens) * prefill_flops_.window) /
      attention_flops_;
  const auto read = static_cast<double>(work.decode_kv_tokens);
  const double seen = within(read, work.decode_tokens);
  const double states = 2 * state_bytes_ * static_cast<double>(work.decode_tokens);
  return prefill_s +
         std::max((read * kv_read_.full + seen * kv_read_.window + states) / bytes_,
                  (read * decode_flops_.full + seen * decode_flops_.window) / attention_flops_);
}

double RooflineStepTime::ms(const engine::StepWork& work) const {
  const auto tokens = static_cast<double>(work.prefill_tokens + work.decode_tokens);
  if (tokens <= 0) return 0;
  // Of the experts, those that any token of the step meets, as if drawn at random.
  const double met = expert_share_ > 0 ? 1 - std::pow(1 - expert_share_, tokens) : 0;
  const double answered =
      static_cast<double>(work.decode_tokens) + (work.prefill_tokens > 0 ? 1 : 0);
  const double weights_s = std::max((tokens * flops_per_token_ + answered * output_flops_) / flops_,
                                    (dense_bytes_ + met * expert_bytes_) / bytes_);
  const double link_s = (link_ > 0 ? tokens * exchanged_bytes_per_token_ / link_ : 0) +
                        (handed_ > 0 ? tokens * handed_bytes_per_token_ / handed_ : 0);
  return fixed_ms_ + collectives_ * collective_ms_ +
         kMsPerS * (weights_s + attention_s(work) + link_s);
}

}  // namespace weir::ops
