#include "ops/plan/model_shape.h"

#include <algorithm>

namespace weir::ops {

double ModelShape::embedding_parameters() const {
  return static_cast<double>(hidden) * static_cast<double>(vocabulary) * (tied ? 1 : 2);
}

namespace {

double attention_layer(const ModelShape& m) {
  const auto d = [](int64_t n) { return static_cast<double>(n); };
  const double hidden = d(m.hidden), heads = d(m.heads);
  if (m.kv_rank == 0) {
    const double q = heads * d(m.head_dim);
    const double kv = d(m.kv_heads) * (d(m.head_dim) + d(m.value_dim));
    return hidden * (q + kv) + heads * d(m.value_dim) * hidden;
  }
  const double q_out = heads * (d(m.head_dim));  // head_dim: plain and rotated together
  const double q = m.q_rank == 0 ? hidden * q_out : d(m.q_rank) * (hidden + q_out);
  const double plain = d(m.head_dim) - d(m.rope_dim);
  return q + hidden * (d(m.kv_rank) + d(m.rope_dim)) +
         d(m.kv_rank) * heads * (plain + d(m.value_dim)) + heads * d(m.value_dim) * hidden;
}

}  // namespace

double ModelShape::attention_parameters() const {
  double sum = 0;
  for (const ModelLayer& l : layers) {
    if (l.mixer == Mixer::kFull || l.mixer == Mixer::kWindow) sum += attention_layer(*this);
    if (l.mixer == Mixer::kState || l.also_state) sum += state_parameters;
  }
  return sum;
}

double ModelShape::dense_parameters() const {
  double sum = 0;
  for (const ModelLayer& l : layers) {
    if (!l.feed_forward) continue;
    const int64_t width = l.experts ? shared_ffn : ffn;
    sum += static_cast<double>(ffn_matrices) * static_cast<double>(hidden) *
           static_cast<double>(width);
    if (!l.experts) continue;
    sum += static_cast<double>(hidden) * static_cast<double>(experts);            // router
    sum += 2 * static_cast<double>(hidden) * static_cast<double>(expert_hidden);  // into and out of
  }
  return sum;
}

double ModelShape::expert_parameters() const {
  const auto expert_layers =
      static_cast<double>(std::count_if(layers.begin(), layers.end(), [](const ModelLayer& l) {
        return l.experts && l.feed_forward;
      }));
  const int64_t width = expert_hidden > 0 ? expert_hidden : hidden;
  return expert_layers * static_cast<double>(experts) * static_cast<double>(ffn_matrices) *
         static_cast<double>(width) * static_cast<double>(expert_ffn);
}

double ModelShape::counted_parameters() const {
  return embedding_parameters() + attention_parameters() + dense_parameters() + expert_parameters();
}

double ModelShape::parameters() const { return stated_parameters.value_or(counted_parameters()); }

double ModelShape::active_parameters() const {
  const double used = experts == 0 ? 0
                                   : expert_parameters() * static_cast<double>(used_experts) /
                                         static_cast<double>(experts);
  const double output = static_cast<double>(hidden) * static_cast<double>(vocabulary);
  const double counted = attention_parameters() + dense_parameters() + used + output;
  if (experts == 0) return counted * parameters() / counted_parameters();
  return counted;
}

size_t ModelShape::count(Mixer mixer) const {
  return static_cast<size_t>(std::count_if(layers.begin(), layers.end(), [&](const ModelLayer& l) {
    return l.mixer == mixer || (mixer == Mixer::kState && l.also_state);
  }));
}

double ModelShape::kv_bytes_per_token(Mixer mixer, double element_bytes) const {
  if (mixer == Mixer::kState || mixer == Mixer::kNone) return 0;
  const double elements =
      kv_rank > 0 ? static_cast<double>(kv_rank) + static_cast<double>(rope_dim)
                  : static_cast<double>(kv_heads) *
                        (static_cast<double>(head_dim) + static_cast<double>(value_dim));
  return static_cast<double>(count(mixer)) * elements * element_bytes;
}

double ModelShape::kv_bytes(double tokens, double element_bytes) const {
  const double seen = window > 0 ? std::min(tokens, static_cast<double>(window)) : tokens;
  return tokens * kv_bytes_per_token(Mixer::kFull, element_bytes) +
         seen * kv_bytes_per_token(Mixer::kWindow, element_bytes) + state_bytes_per_sequence();
}

double ModelShape::state_bytes_per_sequence() const {
  return static_cast<double>(count(Mixer::kState)) * state_bytes;
}

double ModelShape::kv_bytes_per_token_at(double tokens, double element_bytes) const {
  const double n = std::max(1.0, tokens);
  return (kv_bytes(n, element_bytes) - state_bytes_per_sequence()) / n;
}

double ModelShape::kv_copies(int devices) const {
  if (kv_rank > 0) return devices;
  const double heads_kept = static_cast<double>(std::max<int64_t>(1, kv_heads));
  return std::max(1.0, static_cast<double>(devices) / heads_kept);
}

ModelShape model_shape(const model::Config& config, double parameters, double bits_per_weight) {
  ModelShape m;
  m.name = config.name;
  m.architecture = config.arch->name;
  m.hidden = config.dim;
  m.vocabulary = config.vocab_size;
  m.tied = true;  // as far as it matters: stated_parameters has the rest
  m.context_tokens = config.context_tokens;
  m.heads = config.heads;
  m.kv_heads = config.kv_heads;
  m.head_dim = config.head_dim;
  m.value_dim = config.latent.kv_rank > 0 ? config.latent.value_dim : config.value_dim;
  m.window = config.window;
  m.kv_rank = config.latent.kv_rank;
  m.q_rank = config.latent.q_rank;
  m.rope_dim = config.latent.kv_rank > 0 ? config.rope.dims : 0;
  if (m.kv_rank > 0) m.head_dim = config.latent.plain_dim + m.rope_dim;
  m.ffn = config.ffn_dim;
  m.experts = config.expert.experts;
  m.used_experts = config.expert.used;
  m.expert_ffn = config.expert.ffn_dim;
  m.shared_ffn = config.expert.shared_ffn_dim;
  for (int32_t i = 0; i < config.layers; ++i) {
    ModelLayer layer;
    layer.mixer = config.windowed(i) ? Mixer::kWindow : Mixer::kFull;
    layer.experts = config.expert.experts > 0;
    m.layers.push_back(layer);
  }
  m.stated_parameters = parameters;
  m.bits_per_weight = bits_per_weight;
  return m;
}

}  // namespace weir::ops
