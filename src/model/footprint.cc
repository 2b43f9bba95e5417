#include "model/footprint.h"

#include <algorithm>

#include "kernels/packed_matrix.h"

namespace weir::model {
namespace {

// Keys and values of latent attention in one tensor, as older files have them.
constexpr std::string_view kUnsplit = "attn_kv_b.weight";
constexpr double kMiB = 1024.0 * 1024.0;
constexpr uint64_t kMaxKvBytes = uint64_t{1} << 60;  // what is added to it stays within 64 bits

double mib(uint64_t bytes) { return static_cast<double>(bytes) / kMiB; }

}  // namespace

Result<uint64_t> loaded_bytes(const gguf::File& file, const gguf::Tensor& t, kernels::Isa isa) {
  if (t.shape.size() != 2 && t.shape.size() != 3) return t.elements() * sizeof(float);
  if (t.name == "position_embd.weight") return uint64_t{0};
  if (t.name == "token_types.weight") return t.shape[0] * sizeof(float);  // one row is kept
  const bool tied = file.find_tensor("output.weight") == nullptr &&
                    file.find_tensor("output_norm.weight") != nullptr;  // encoders have no head
  if (t.name == "token_embd.weight" && !tied) return uint64_t{0};
  const auto format = kernels::panel_format(t.type);
  if (!format.ok()) return format.error().with_context(fmt::format("tensor {}", t.name));
  const uint64_t matrices = t.shape.size() == 3 ? t.shape[2] : 1;  // of each expert or head
  const uint64_t packed = matrices * kernels::packed_bytes(*format, t.shape[1], t.shape[0], isa);
  // The part of keys becomes f32 (weights.cc); how large that is the tensor does not say.
  return t.name.ends_with(kUnsplit) ? packed + t.elements() * sizeof(float) : packed;
}

Result<Footprint> estimate_footprint(const gguf::File& file, const Config& config, kernels::Isa isa,
                                     uint64_t kv_tokens, kernels::KvTypes kv_types,
                                     uint64_t step_tokens) {
  WEIR_TRY(kernels::check_kv_types(kv_types, static_cast<size_t>(config.head_dim),
                                   static_cast<size_t>(config.value_dim)));
  Footprint f;
  for (const gguf::Tensor& t : file.tensors()) {
    WEIR_ASSIGN(const uint64_t bytes, loaded_bytes(file, t, isa));
    f.weight_bytes += bytes;
  }
  const uint64_t token_bytes = config.kv_bytes_per_token(kv_types);
  if (kv_tokens > kMaxKvBytes / token_bytes) {
    return make_error(ErrorCode::kOutOfMemory,
                      "a KV cache of {} tokens of {} bytes each does not fit any machine; use "
                      "fewer tokens",
                      kv_tokens, token_bytes);
  }
  f.kv_tokens = kv_tokens;
  f.kv_bytes = kv_tokens * token_bytes;
  // Per token of a step: residual, normed, attention output, q, k, v, gate, up in f32, and their
  // int8 copies.
  const uint64_t row =
      static_cast<uint64_t>(config.dim) * 4 + static_cast<uint64_t>(config.q_dim()) * 2 +
      static_cast<uint64_t>(config.kv_dim()) * 2 + static_cast<uint64_t>(config.ffn_dim) * 2;
  const LatentConfig& l = config.latent;
  const uint64_t latent =
      l.kv_rank == 0 ? 0
                     : static_cast<uint64_t>(l.q_rank) +
                           static_cast<uint64_t>(config.heads) *
                               static_cast<uint64_t>(l.plain_dim + config.rope.dims + l.kv_rank);
  const uint64_t experts = static_cast<uint64_t>(config.expert.ffn_dim) +
                           static_cast<uint64_t>(config.expert.shared_ffn_dim) +
                           (config.expert.experts > 0 ? static_cast<uint64_t>(config.dim) * 2 : 0);
  const auto out = static_cast<uint64_t>(config.arch->encoder ? config.dim : config.vocab_size);
  f.workspace_bytes = step_tokens * ((row + latent + experts) * 5 + out * sizeof(float));
  return f;
}

Status check_fits(const Footprint& f, uint64_t available_bytes) {
  if (f.total_bytes() <= available_bytes) return {};
  return make_error(
      ErrorCode::kOutOfMemory,
      "the model does not fit: weights {:.0f} MiB + KV cache {:.0f} MiB for {} tokens + workspace "
      "{:.0f} MiB = "
      "{:.0f} MiB, and {:.0f} MiB are available; use a smaller model, --ctx or --kv-type, or free "
      "memory",
      mib(f.weight_bytes), mib(f.kv_bytes), f.kv_tokens, mib(f.workspace_bytes),
      mib(f.total_bytes()), mib(available_bytes));
}

}  // namespace weir::model
