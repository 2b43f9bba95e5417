#include "checkpoint/tensors.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <utility>

#include "quant/codec.h"

namespace weir::checkpoint {
namespace {

using gguf::TensorType;

// Tensor data is read through typed pointers further on; GGUF files align to at least this.
constexpr uintptr_t kAlignment = 8;

std::optional<TensorType> type_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF64:
      return TensorType::kF64;
    case Dtype::kF32:
      return TensorType::kF32;
    case Dtype::kF16:
      return TensorType::kF16;
    case Dtype::kBF16:
      return TensorType::kBF16;
    default:
      return std::nullopt;
  }
}

// A tensor of the result and what it is made of.
struct Plan {
  std::vector<const SafeTensor*> slices;  // one, or one for each expert
  bool stacked = false;
  bool qk = false;
};

class TensorConverter {
 public:
  TensorConverter(const HfConfig& config, const TensorOptions& options)
      : config_(config), options_(options) {}

  Result<ConvertedTensors> run(const std::vector<SafeTensor>& source) {
    for (const SafeTensor& t : source) WEIR_TRY(plan(t));
    if (config_.tied == false && !plans_.contains("output.weight")) {
      return make_error(ErrorCode::kCorrupt,
                        "lm_head.weight is missing, and tie_word_embeddings is false");
    }
    for (const auto& [name, p] : plans_) {
      if (auto status = make(name, p); !status.ok()) {
        return status.error().with_context(fmt::format("making {}", name));
      }
    }
    for (const auto& [name, values] : config_.rope_factors) add_factors(name, values);
    return std::move(out_);
  }

 private:
  Status plan(const SafeTensor& t) {
    const std::optional<Target> target = map_tensor(*config_.family, t.name);
    if (!target) {
      return make_error(ErrorCode::kUnsupported, "tensor {} is not known in a {} model",
                        text::json_quote(std::string_view(t.name).substr(0, 120), true),
                        config_.family->model_type);
    }
    if (target->name.empty()) return {};
    if (target->name == "output.weight" && config_.tied == true) return {};
    Plan& p = plans_[target->name];
    p.qk = target->qk;
    p.stacked = target->expert >= 0;
    const auto at = static_cast<size_t>(std::max(0, target->expert));
    const size_t count = p.stacked ? static_cast<size_t>(config_.experts) : 1;
    if (at >= count) {
      return make_error(ErrorCode::kCorrupt, "tensor {}: config.json has only {} experts", t.name,
                        count);
    }
    // Each slice has to be one of the tensors that were read, of which there are no more than this.
    if (p.slices.empty() && (slices_ += count) > gguf::kMaxTensors) {
      return make_error(ErrorCode::kLimit,
                        "tensor {}: with the {} experts of config.json there are more than {} "
                        "tensors",
                        t.name, count, gguf::kMaxTensors);
    }
    p.slices.resize(count);
    if (p.slices[at] != nullptr) {
      return make_error(ErrorCode::kCorrupt, "tensors {} and {} are one and the same", t.name,
                        p.slices[at]->name);
    }
    p.slices[at] = &t;
    return {};
  }

  // Slices are there, floats, and of one type and shape.
  static Status check_slices(const std::string& name, const Plan& p) {
    const SafeTensor& first = **std::find_if(p.slices.begin(), p.slices.end(),
                                             [](const SafeTensor* s) { return s != nullptr; });
    for (size_t i = 0; i < p.slices.size(); ++i) {
      const SafeTensor* s = p.slices[i];
      if (s == nullptr) {
        return make_error(ErrorCode::kCorrupt, "expert {} of {} is missing", i, name);
      }
      if (s->shape != first.shape || s->dtype != first.dtype) {
        return make_error(ErrorCode::kCorrupt, "tensors {} and {} differ in shape or type",
                          first.name, s->name);
      }
    }
    if (!type_of(first.dtype)) {
      return make_error(ErrorCode::kUnsupported,
                        "tensor {} has type {}; supported: F64, F32, F16, BF16", first.name,
                        dtype_name(first.dtype));
    }
    const bool dims = first.shape.size() == 1 || first.shape.size() == 2;
    if (!dims || (p.stacked && first.shape.size() != 2) || first.data.empty()) {
      return make_error(ErrorCode::kCorrupt, "tensor {} has shape [{}], no vector or matrix",
                        first.name, fmt::join(first.shape, ", "));
    }
    return {};
  }

  Status make(const std::string& name, const Plan& p) {
    WEIR_TRY(check_slices(name, p));
    const SafeTensor& first = *p.slices.front();
    const bool vector = first.shape.size() == 1;
    gguf::Tensor t;
    t.name = name;
    t.type = *type_of(first.dtype);
    t.shape.assign(first.shape.rbegin(), first.shape.rend());
    const bool transposed =
        config_.family->transposed && !vector && name.starts_with("blk.");  // layers' matrices
    if (transposed) std::swap(t.shape[0], t.shape[1]);
    if (p.stacked) t.shape.push_back(p.slices.size());
    const TensorType source_type = t.type;
    const bool shifted = config_.family->shift_norms && name.ends_with("norm.weight");
    if (shifted) {
      t.type = TensorType::kF32;
    } else if (!vector && options_.load_type && is_large(t)) {
      t.type = *options_.load_type;
    }
    const bool permuted = p.qk && config_.family->permute_qk;
    const bool aligned = reinterpret_cast<uintptr_t>(first.data.data()) % kAlignment == 0;
    if (!permuted && !shifted && !p.stacked && !transposed && t.type == source_type && aligned) {
      t.data = first.data;
      out_.tensors.push_back(std::move(t));
      return {};
    }
    const std::span<std::byte> data = allocate(t);
    if (options_.contents) {
      WEIR_TRY(transposed ? transpose(first, source_type, t, data)
                          : fill(p, source_type, t, shifted, data));
    }
    out_.tensors.push_back(std::move(t));
    return {};
  }

  // A matrix that a matmul reads, whose rows are whole blocks of the type asked for.
  bool is_large(const gguf::Tensor& t) const {
    const gguf::TypeInfo* info = gguf::type_info(*options_.load_type);
    return t.name.find("ffn_gate_inp") == std::string::npos && t.name != "position_embd.weight" &&
           t.name != "token_types.weight" && t.shape[0] % info->block_elements == 0;
  }

  // Room for the data of t, which is made to point there.
  std::span<std::byte> allocate(gguf::Tensor& t) {
    const gguf::TypeInfo* info = gguf::type_info(t.type);
    const size_t bytes = t.elements() / info->block_elements * info->block_bytes;
    out_.buffers.emplace_back(new std::byte[bytes]);  // not cleared: untouched pages cost nothing
    t.data = {out_.buffers.back().get(), bytes};
    return {out_.buffers.back().get(), bytes};
  }

  // The row of the source that row r of the result comes from: in each head, the pair (2i, 2i + 1)
  // was (i, i + half).
  static size_t source_row(size_t r, size_t head_rows) {
    if (head_rows == 0) return r;
    const size_t j = r % head_rows;
    return r - j + (j % 2) * (head_rows / 2) + j / 2;
  }

  // A matrix of the source that is [in, out].
  static Status transpose(const SafeTensor& source, TensorType source_type, const gguf::Tensor& t,
                          std::span<std::byte> data) {
    const size_t rows = source.shape[1];
    const size_t cols = source.shape[0];
    std::vector<float> all(rows * cols);
    WEIR_TRY(quant::decode(source_type, source.data, all));
    std::vector<float> values(cols);
    const size_t row_bytes = data.size() / rows;
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < cols; ++c) values[c] = all[c * rows + r];
      WEIR_TRY(quant::encode(t.type, values, data.subspan(r * row_bytes, row_bytes)));
    }
    return {};
  }

  Status fill(const Plan& p, TensorType source_type, const gguf::Tensor& t, bool shifted,
              std::span<std::byte> data) const {
    const SafeTensor& first = *p.slices.front();
    const size_t rows = first.shape[0];  // a vector is one column of them
    const size_t cols = first.shape.size() == 1 ? 1 : first.shape[1];
    size_t head_rows = 0;
    if (p.qk && config_.family->permute_qk) {
      const bool q = t.name.find("attn_q.") != std::string::npos;
      const auto heads = static_cast<size_t>(q ? config_.heads : config_.kv_heads);
      if (rows % (2 * heads) != 0) {
        return make_error(ErrorCode::kCorrupt,
                          "its {} rows are no even number for each of {} heads", rows, heads);
      }
      head_rows = rows / heads;
    }
    const size_t from_bytes = first.data.size() / rows;
    const size_t to_bytes = data.size() / (rows * p.slices.size());
    std::vector<float> values(cols);
    for (size_t i = 0; i < p.slices.size() * rows; ++i) {
      const auto from = p.slices[i / rows]->data.subspan(
          source_row(i % rows, head_rows) * from_bytes, from_bytes);
      const auto to = data.subspan(i * to_bytes, to_bytes);
      if (t.type == source_type && !shifted) {
        std::memcpy(to.data(), from.data(), from_bytes);
        continue;
      }
      WEIR_TRY(quant::decode(source_type, from, values));
      if (shifted) {
        for (float& v : values) v += 1.0F;
      }
      WEIR_TRY(quant::encode(t.type, values, to));
    }
    return {};
  }

  void add_factors(const std::string& name, const std::vector<float>& values) {
    gguf::Tensor t;
    t.name = name;
    t.type = TensorType::kF32;
    t.shape = {values.size()};
    const std::span<std::byte> data = allocate(t);
    std::memcpy(data.data(), values.data(), data.size());
    out_.tensors.push_back(std::move(t));
  }

  const HfConfig& config_;
  const TensorOptions& options_;
  std::map<std::string, Plan> plans_;
  size_t slices_ = 0;  // of all plans, present or missing
  ConvertedTensors out_;
};

}  // namespace

Result<ConvertedTensors> convert_tensors(const HfConfig& config,
                                         const std::vector<SafeTensor>& source,
                                         const TensorOptions& options) {
  return TensorConverter(config, options).run(source);
}

}  // namespace weir::checkpoint
