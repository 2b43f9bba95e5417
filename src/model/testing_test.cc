// The implementation of testing.h (compiled into the test program only).
#include <cmath>
#include <numbers>

#include "model/testing.h"

namespace weir::model {
namespace {

using Vec = std::vector<double>;

Vec multiply(const std::vector<float>& w, const Vec& x, size_t rows,
             const std::vector<float>* bias) {
  Vec y(rows, 0.0);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < x.size(); ++c) y[r] += static_cast<double>(w[r * x.size() + c]) * x[c];
    if (bias != nullptr) y[r] += static_cast<double>((*bias)[r]);
  }
  return y;
}

void rms_norm(double* x, size_t n, const std::vector<float>& w) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i] * x[i];
  const double scale = 1.0 / std::sqrt(sum / static_cast<double>(n) + 1e-5);
  for (size_t i = 0; i < n; ++i) x[i] = x[i] * scale * static_cast<double>(w[i]);
}

// The angle of pair i at a position, from the papers' definitions.
double angle(const TinySpec& s, const std::vector<float>* factors, int i, size_t position,
             double& magnitude) {
  const double base = 10000.0;
  const double d = s.head_dim;
  double f = std::pow(base, -2.0 * i / d);
  magnitude = 1.0;
  if (factors != nullptr) f /= static_cast<double>((*factors)[static_cast<size_t>(i)]);
  const auto factor = static_cast<double>(s.rope_factor);
  if (s.rope_scaling == "linear") f /= factor;
  if (s.rope_scaling == "yarn") {
    // A wavelength that turns more than beta_fast = 32 times in the window stays, below beta_slow =
    // 1 it is interpolated.
    const auto dim_of = [&](double turns) {
      return d * std::log(s.context / (turns * 2 * std::numbers::pi)) / (2 * std::log(base));
    };
    const double low = std::max(0.0, std::floor(dim_of(32)));
    const double high = std::min(d - 1, std::ceil(dim_of(1)));
    const double ramp = std::min(1.0, std::max(0.0, (i - low) / std::max(0.001, high - low)));
    f = f / factor * ramp + f * (1 - ramp);
    magnitude = 0.1 * std::log(factor) + 1.0;
  }
  return f * static_cast<double>(position);
}

}  // namespace

void TinyModel::add(const std::string& name, size_t rows, size_t cols, double scale, double offset,
                    Rng& rng) {
  std::vector<float> v(rows * cols);
  for (float& x : v) x = static_cast<float>(offset + scale * (rng.unit() * 2 - 1));
  tensors_[name] = std::move(v);
  shapes_[name] = rows == 1 ? std::vector<uint64_t>{cols} : std::vector<uint64_t>{cols, rows};
}

TinyModel::TinyModel(const TinySpec& spec) : spec_(spec) {
  Rng rng(spec.seed);
  const auto n = [](int32_t v) { return static_cast<size_t>(v); };
  const size_t dim = n(spec.dim), ffn = n(spec.ffn_dim), qd = n(spec.heads * spec.head_dim),
               kd = n(spec.kv_heads * spec.head_dim);
  add("token_embd.weight", n(spec.vocab), dim, 1.0, 0, rng);
  add("output_norm.weight", 1, dim, 0.2, 1, rng);
  if (!spec.tied) add("output.weight", n(spec.vocab), dim, 0.5, 0, rng);
  if (spec.rope_factors) add("rope_freqs.weight", 1, n(spec.head_dim / 2), 3, 4.5, rng);
  for (int32_t l = 0; l < spec.layers; ++l) {
    const std::string p = "blk." + std::to_string(l) + ".";
    const auto matrix = [&](const std::string& name, size_t rows, size_t cols) {
      add(p + name + ".weight", rows, cols, 1.5 / std::sqrt(static_cast<double>(cols)), 0, rng);
    };
    add(p + "attn_norm.weight", 1, dim, 0.2, 1, rng);
    add(p + "ffn_norm.weight", 1, dim, 0.2, 1, rng);
    matrix("attn_q", qd, dim);
    matrix("attn_k", kd, dim);
    matrix("attn_v", kd, dim);
    matrix("attn_output", dim, qd);
    matrix("ffn_gate", ffn, dim);
    matrix("ffn_up", ffn, dim);
    matrix("ffn_down", dim, ffn);
    if (spec.bias) {
      add(p + "attn_q.bias", 1, qd, 0.5, 0, rng);
      add(p + "attn_k.bias", 1, kd, 0.5, 0, rng);
      add(p + "attn_v.bias", 1, kd, 0.5, 0, rng);
    }
    if (spec.bias && spec.arch == "llama") {
      add(p + "attn_output.bias", 1, dim, 0.5, 0, rng);
      add(p + "ffn_gate.bias", 1, ffn, 0.5, 0, rng);
      add(p + "ffn_up.bias", 1, ffn, 0.5, 0, rng);
      add(p + "ffn_down.bias", 1, dim, 0.5, 0, rng);
    }
    if (spec.qk_norm) {
      add(p + "attn_q_norm.weight", 1, n(spec.head_dim), 0.3, 1, rng);
      add(p + "attn_k_norm.weight", 1, n(spec.head_dim), 0.3, 1, rng);
    }
  }
}

std::vector<std::byte> TinyModel::to_gguf(const std::string& drop) const {
  gguf::Writer w;
  const auto key = [&](const char* name) { return spec_.arch + "." + name; };
  const auto u = [](int32_t v) { return static_cast<uint32_t>(v); };
  w.set_string("general.architecture", spec_.arch);
  w.set_uint(key("block_count"), u(spec_.layers));
  w.set_uint(key("context_length"), u(spec_.context));
  w.set_uint(key("embedding_length"), u(spec_.dim));
  w.set_uint(key("feed_forward_length"), u(spec_.ffn_dim));
  w.set_uint(key("attention.head_count"), u(spec_.heads));
  w.set_uint(key("attention.head_count_kv"), u(spec_.kv_heads));
  w.set_uint(key("attention.key_length"), u(spec_.head_dim));
  w.set_float(key("attention.layer_norm_rms_epsilon"), 1e-5F);
  if (!spec_.rope_scaling.empty()) {
    w.set_string(key("rope.scaling.type"), spec_.rope_scaling);
    w.set_float(key("rope.scaling.factor"), spec_.rope_factor);
    w.set_uint(key("rope.scaling.original_context_length"), u(spec_.context));
  }
  for (const auto& [name, values] : tensors_) {
    if (name == drop) continue;
    w.add_tensor(name, gguf::TensorType::kF32, shapes_.at(name), std::as_bytes(std::span(values)));
  }
  return w.to_bytes().value();
}

std::vector<Vec> TinyModel::reference_logits(const std::vector<int32_t>& tokens,
                                             ReferenceCache* cache) const {
  const TinySpec& s = spec_;
  const auto n = [](int32_t v) { return static_cast<size_t>(v); };
  const size_t dim = n(s.dim), hd = n(s.head_dim), heads = n(s.heads), kv_heads = n(s.kv_heads);
  const auto find = [&](const std::string& name) {
    const auto it = tensors_.find(name);
    return it == tensors_.end() ? nullptr : &it->second;
  };
  const bool halves = s.arch != "llama";
  std::vector<Vec> xs;
  for (const int32_t t : tokens) {
    const auto* row = tensors_.at("token_embd.weight").data() + n(t) * dim;
    xs.emplace_back(row, row + dim);
  }
  const auto rotate = [&](double* x, size_t position) {
    for (int i = 0; i < s.head_dim / 2; ++i) {
      double magnitude = 1;
      const double a = angle(s, find("rope_freqs.weight"), i, position, magnitude);
      const size_t lo = halves ? n(i) : 2 * n(i);
      const size_t hi = halves ? n(i) + hd / 2 : 2 * n(i) + 1;
      const double x0 = x[lo], x1 = x[hi];
      x[lo] = (x0 * std::cos(a) - x1 * std::sin(a)) * magnitude;
      x[hi] = (x0 * std::sin(a) + x1 * std::cos(a)) * magnitude;
    }
  };
  for (int32_t l = 0; l < s.layers; ++l) {
    const std::string p = "blk." + std::to_string(l) + ".";
    std::vector<Vec> ks, vs;
    for (size_t t = 0; t < xs.size(); ++t) {
      Vec h = xs[t];
      rms_norm(h.data(), dim, tensor(p + "attn_norm.weight"));
      Vec q = multiply(tensor(p + "attn_q.weight"), h, heads * hd, find(p + "attn_q.bias"));
      Vec k = multiply(tensor(p + "attn_k.weight"), h, kv_heads * hd, find(p + "attn_k.bias"));
      vs.push_back(
          multiply(tensor(p + "attn_v.weight"), h, kv_heads * hd, find(p + "attn_v.bias")));
      for (size_t i = 0; i < heads; ++i) {
        if (s.qk_norm) rms_norm(&q[i * hd], hd, tensor(p + "attn_q_norm.weight"));
        rotate(&q[i * hd], t);
      }
      for (size_t i = 0; i < kv_heads; ++i) {
        if (s.qk_norm) rms_norm(&k[i * hd], hd, tensor(p + "attn_k_norm.weight"));
        rotate(&k[i * hd], t);
      }
      ks.push_back(std::move(k));
      Vec out(heads * hd, 0.0);
      for (size_t i = 0; i < heads; ++i) {
        const size_t g = i / (heads / kv_heads);
        Vec score(t + 1);
        double sum = 0;
        for (size_t j = 0; j <= t; ++j) {
          double dot = 0;
          for (size_t d = 0; d < hd; ++d) dot += q[i * hd + d] * ks[j][g * hd + d];
          score[j] = std::exp(dot / std::sqrt(static_cast<double>(hd)));
          sum += score[j];
        }
        for (size_t j = 0; j <= t; ++j) {
          for (size_t d = 0; d < hd; ++d) out[i * hd + d] += score[j] / sum * vs[j][g * hd + d];
        }
      }
      const Vec o =
          multiply(tensor(p + "attn_output.weight"), out, dim, find(p + "attn_output.bias"));
      for (size_t d = 0; d < dim; ++d) xs[t][d] += o[d];
      h = xs[t];
      rms_norm(h.data(), dim, tensor(p + "ffn_norm.weight"));
      Vec gate =
          multiply(tensor(p + "ffn_gate.weight"), h, n(s.ffn_dim), find(p + "ffn_gate.bias"));
      const Vec up =
          multiply(tensor(p + "ffn_up.weight"), h, n(s.ffn_dim), find(p + "ffn_up.bias"));
      for (size_t d = 0; d < gate.size(); ++d) gate[d] = gate[d] / (1 + std::exp(-gate[d])) * up[d];
      const Vec down =
          multiply(tensor(p + "ffn_down.weight"), gate, dim, find(p + "ffn_down.bias"));
      for (size_t d = 0; d < dim; ++d) xs[t][d] += down[d];
    }
    if (cache == nullptr) continue;
    cache->keys.push_back(std::move(ks));
    cache->values.push_back(std::move(vs));
  }
  std::vector<Vec> logits;
  for (Vec& x : xs) {
    rms_norm(x.data(), dim, tensor("output_norm.weight"));
    logits.push_back(
        multiply(tensor(s.tied ? "token_embd.weight" : "output.weight"), x, n(s.vocab), nullptr));
  }
  return logits;
}

std::vector<TinySpec> tiny_specs() {
  std::vector<TinySpec> specs(9);
  specs[1].bias = true;
  specs[2].tied = true;
  specs[3].rope_scaling = "linear";
  specs[3].rope_factor = 4.0F;
  specs[4].rope_scaling = "yarn";
  specs[4].rope_factor = 4.0F;
  specs[5].rope_factors = true;
  specs[6].arch = "qwen2";
  specs[6].bias = true;
  specs[7].arch = "qwen3";
  specs[7].qk_norm = true;
  specs[7].tied = true;
  specs[7].head_dim = 32;
  specs[8].heads = 6;
  specs[8].kv_heads = 3;
  return specs;
}

}  // namespace weir::model
