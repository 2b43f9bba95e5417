#include "checkpoint/tensors.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <utility>

#include "checkpoint/quantized.h"
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
  Stack stack = Stack::kNone;  // not kNone: one slice that holds all experts
  const SafeTensor* scales = nullptr;
  size_t first_row = 0;
  size_t row_step = 1;
};

constexpr uint64_t kMxfp4Values = 32;  // of a block
constexpr uint64_t kMxfp4Bytes = 16;   // of its codes

class TensorConverter {
 public:
  TensorConverter(const HfConfig& config, std::optional<TensorType> load_type)
      : config_(config), load_type_(load_type) {}

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
    WEIR_TRY(plan_part(t, *target, target->name));
    if (target->odd_name.empty()) return {};
    plans_[target->name].row_step = 2;
    WEIR_TRY(plan_part(t, *target, target->odd_name));
    plans_[target->odd_name].row_step = 2;
    plans_[target->odd_name].first_row = 1;
    return {};
  }

  Status plan_part(const SafeTensor& t, const Target& target, const std::string& name) {
    Plan& p = plans_[name];
    p.qk = target.qk;
    p.stacked = target.expert >= 0;
    if (target.stack == Stack::kScales) {
      p.scales = &t;
      return {};
    }
    p.stack = target.stack;
    const auto at = static_cast<size_t>(std::max(0, target.expert));
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
      if (s->shape != first.shape || s->dtype != first.dtype ||
          (s->quantized == nullptr) != (first.quantized == nullptr)) {
        return make_error(ErrorCode::kCorrupt, "tensors {} and {} differ in shape or type",
                          first.name, s->name);
      }
    }
    if (!type_of(first.dtype)) return wrong_type(first, "F64, F32, F16, BF16");
    const bool dims = first.shape.size() == 1 || first.shape.size() == 2;
    const bool empty = first.data.empty() && first.quantized == nullptr;
    if (!dims || (p.stacked && first.shape.size() != 2) || empty) {
      return make_error(ErrorCode::kCorrupt, "tensor {} has shape [{}], no vector or matrix",
                        first.name, fmt::join(first.shape, ", "));
    }
    return {};
  }

  // The type of a tensor that holds all experts. Errors: as check_slices.
  Result<TensorType> check_stack(const Plan& p) const {
    const bool blocks = p.stack == Stack::kBlocks;
    if (p.slices.empty() || blocks != (p.scales != nullptr)) {
      return make_error(ErrorCode::kCorrupt, "the {} are missing",
                        p.scales == nullptr ? "scales" : "blocks");
    }
    const SafeTensor& s = *p.slices.front();
    const size_t dims = blocks ? 4 : p.stack == Stack::kColumns ? 3 : 2;
    const uint64_t rows = s.shape.size() != dims ? 0 : s.shape[p.stack == Stack::kColumns ? 2 : 1];
    const bool good = rows > 0 && rows % p.row_step == 0 && !s.data.empty() &&
                      s.shape[0] == static_cast<uint64_t>(config_.experts) &&
                      (!blocks || s.shape[3] == kMxfp4Bytes);
    if (!good) {
      return make_error(ErrorCode::kCorrupt,
                        "tensor {} has shape [{}], which does not fit {} experts", s.name,
                        fmt::join(s.shape, ", "), config_.experts);
    }
    if (!blocks) {
      if (const auto type = type_of(s.dtype)) return *type;
      return wrong_type(s, "F64, F32, F16, BF16");
    }
    for (const SafeTensor* part : {&s, p.scales}) {
      if (part->dtype != Dtype::kU8) return wrong_type(*part, "U8");
    }
    if (!std::equal(p.scales->shape.begin(), p.scales->shape.end(), s.shape.begin(),
                    s.shape.end() - 1)) {
      return make_error(ErrorCode::kCorrupt, "tensors {} and {} differ in shape", s.name,
                        p.scales->name);
    }
    return TensorType::kMXFP4;
  }

  static Error wrong_type(const SafeTensor& t, std::string_view supported) {
    return make_error(ErrorCode::kUnsupported, "tensor {} has type {}; supported: {}", t.name,
                      dtype_name(t.dtype), supported);
  }

  // Each expert becomes a slice.
  Status make_stack(const std::string& name, const Plan& p) {
    Conversion c;
    c.name = name;
    WEIR_ASSIGN(c.from, check_stack(p));
    const SafeTensor& s = *p.slices.front();
    const auto experts = static_cast<size_t>(s.shape[0]);
    c.transposed = p.stack == Stack::kColumns;
    c.rows = s.shape[c.transposed ? 2 : 1] / p.row_step;
    c.cols = 1;
    if (p.stack == Stack::kColumns) c.cols = s.shape[1];
    if (p.stack == Stack::kBlocks) c.cols = s.shape[2] * kMxfp4Values;
    c.first_row = p.first_row;
    c.row_step = p.row_step;
    for (size_t i = 0; i < experts; ++i) {
      c.slices.push_back(part_of(s, i, experts));
      if (p.scales != nullptr) c.scales.push_back(part_of(*p.scales, i, experts));
    }
    gguf::Tensor t;
    t.name = name;
    t.shape = {c.rows, experts};
    if (p.stack != Stack::kBiases) t.shape = {c.cols, c.rows, experts};
    t.type = c.from;
    // Codes of 4 bits stay what they are.
    if (p.stack == Stack::kColumns && load_type_ && is_large(t)) t.type = *load_type_;
    c.to = t.type;
    c.data = allocate(t);
    out_.conversions.push_back(std::move(c));
    out_.tensors.push_back(std::move(t));
    return {};
  }

  static std::span<const std::byte> part_of(const SafeTensor& t, size_t i, size_t parts) {
    return t.data.subspan(i * (t.data.size() / parts), t.data.size() / parts);
  }

  // That of the quantized slices, or F16 where they differ.
  static TensorType natural_type(const Plan& p) {
    const TensorType type = p.slices.front()->quantized->natural;
    for (const SafeTensor* s : p.slices) {
      if (s->quantized->natural != type) return TensorType::kF16;
    }
    return type;
  }

  Status make(const std::string& name, const Plan& p) {
    if (p.stack != Stack::kNone || p.scales != nullptr) return make_stack(name, p);
    WEIR_TRY(check_slices(name, p));
    const SafeTensor& first = *p.slices.front();
    const bool vector = first.shape.size() == 1;
    gguf::Tensor t;
    t.name = name;
    t.type = first.quantized ? natural_type(p) : *type_of(first.dtype);
    t.shape.assign(first.shape.rbegin(), first.shape.rend());
    const bool transposed =
        config_.family->transposed && !vector && name.starts_with("blk.");  // layers' matrices
    if (transposed) std::swap(t.shape[0], t.shape[1]);
    if (p.stacked) t.shape.push_back(p.slices.size());
    const TensorType source_type = t.type;
    const bool shifted = config_.family->shift_norms && name.ends_with("norm.weight");
    if (shifted) {
      t.type = TensorType::kF32;
    } else if (!vector && load_type_ && is_large(t)) {
      t.type = *load_type_;
    }
    const bool permuted = p.qk && config_.family->permute_qk;
    if (first.quantized && (transposed || shifted)) {
      return make_error(ErrorCode::kUnsupported, "quantized matrices of {} models are not read",
                        config_.family->model_type);
    }
    const bool aligned = reinterpret_cast<uintptr_t>(first.data.data()) % kAlignment == 0 &&
                         first.quantized == nullptr;
    if (!permuted && !shifted && !p.stacked && !transposed && t.type == source_type && aligned) {
      t.data = first.data;
      out_.tensors.push_back(std::move(t));
      return {};
    }
    Conversion c;
    c.name = name;
    for (const SafeTensor* slice : p.slices) {
      c.slices.push_back(slice->data);
      if (slice->quantized) c.quantized.push_back(slice->quantized);
    }
    c.from = source_type;
    c.to = t.type;
    c.rows = vector ? first.shape[0] : t.shape[1];
    c.cols = vector ? 1 : t.shape[0];
    c.transposed = transposed;
    c.shifted = shifted;
    if (permuted) {
      WEIR_ASSIGN(c.head_rows, rows_of_a_head(t.name, c.rows));
    }
    c.data = allocate(t);
    out_.conversions.push_back(std::move(c));
    out_.tensors.push_back(std::move(t));
    return {};
  }

  // Of Q or K.
  Result<size_t> rows_of_a_head(const std::string& name, size_t rows) const {
    const bool q = name.find("attn_q.") != std::string::npos;
    const auto heads = static_cast<size_t>(q ? config_.heads : config_.kv_heads);
    if (heads == 0 || rows % (2 * heads) != 0) {
      return make_error(ErrorCode::kCorrupt, "its {} rows are no even number for each of {} heads",
                        rows, heads);
    }
    return rows / heads;
  }

  // A matrix that a matmul reads, whose rows are whole blocks of the type asked for.
  bool is_large(const gguf::Tensor& t) const {
    const gguf::TypeInfo* info = gguf::type_info(*load_type_);
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
  const std::optional<TensorType> load_type_;
  std::map<std::string, Plan> plans_;
  size_t slices_ = 0;  // of all plans, present or missing
  ConvertedTensors out_;
};

// Values of a task: some 100 microseconds.
constexpr size_t kTaskValues = 1 << 16;

// The row of a slice that row r of the result comes from: in each head, the pair (2i, 2i + 1) was
// (i, i + half).
size_t source_row(const Conversion& c, size_t r) {
  if (c.head_rows == 0) return c.first_row + r * c.row_step;
  const size_t j = r % c.head_rows;
  return r - j + (j % 2) * (c.head_rows / 2) + j / 2;
}

// Row r of a matrix that lies in `source` as [cols, rows], put together in `row`.
void gather_row(const Conversion& c, std::span<const std::byte> source, size_t r,
                std::span<std::byte> row) {
  const size_t bytes = row.size() / c.cols;
  const size_t rows = c.rows * c.row_step;
  for (size_t i = 0; i < c.cols; ++i)
    std::memcpy(row.data() + i * bytes, source.data() + (i * rows + r) * bytes, bytes);
}

// A row of MXFP4 as ggml has it: blocks of the exponent and 16 bytes with the values i (low half)
// and i + 16.
void join_mxfp4(std::span<const std::byte> codes, std::span<const std::byte> scales,
                std::span<std::byte> row) {
  const auto code = [&](size_t i) {
    return i % 2 == 0 ? codes[i / 2] & std::byte{15} : codes[i / 2] >> 4;
  };
  std::byte* to = row.data();
  for (size_t b = 0; b < scales.size(); ++b) {
    *to++ = scales[b];
    const size_t first = b * kMxfp4Values;
    for (size_t i = first; i < first + kMxfp4Bytes; ++i)
      *to++ = code(i) | code(i + kMxfp4Bytes) << 4;
  }
}

// Rows [begin, end) of all slices.
Status convert_rows(const Conversion& c, size_t begin, size_t end) {
  const size_t from_bytes = c.slices.front().size() / (c.rows * c.row_step);
  const size_t to_bytes = c.data.size() / (c.rows * c.slices.size());
  std::vector<float> values(c.cols);
  std::vector<std::byte> gathered(c.transposed ? from_bytes : 0);
  for (size_t i = begin; i < end; ++i) {
    const std::span<const std::byte> slice = c.slices[i / c.rows];
    const size_t row = source_row(c, i % c.rows);
    const auto to = c.data.subspan(i * to_bytes, to_bytes);
    if (!c.quantized.empty()) {
      WEIR_TRY(c.quantized[i / c.rows]->write_row(row, c.to, to));
      continue;
    }
    std::span<const std::byte> from = gathered;
    if (c.transposed) {
      gather_row(c, slice, row, gathered);
    } else {
      from = slice.subspan(row * from_bytes, from_bytes);
    }
    if (!c.scales.empty()) {
      const size_t blocks = c.cols / kMxfp4Values;
      join_mxfp4(from, c.scales[i / c.rows].subspan(row * blocks, blocks), to);
      continue;
    }
    if (c.to == c.from && !c.shifted) {
      std::memcpy(to.data(), from.data(), from_bytes);
      continue;
    }
    WEIR_TRY(quant::decode(c.from, from, values));
    if (c.shifted) {
      for (float& v : values) v += 1.0F;
    }
    WEIR_TRY(quant::encode(c.to, values, to));
  }
  return {};
}

}  // namespace

Result<ConvertedTensors> convert_tensors(const HfConfig& config,
                                         const std::vector<SafeTensor>& source,
                                         std::optional<TensorType> load_type) {
  return TensorConverter(config, load_type).run(source);
}

Status convert(const Conversion& c, kernels::ThreadPool& pool) {
  const size_t rows = c.slices.size() * c.rows;
  const size_t rows_a_task = std::max<size_t>(1, kTaskValues / c.cols);
  std::vector<Status> results((rows + rows_a_task - 1) / rows_a_task);
  pool.parallel_for(results.size(), [&](size_t task, size_t) {
    const size_t begin = task * rows_a_task;
    results[task] = convert_rows(c, begin, std::min(rows, begin + rows_a_task));
  });
  for (Status& status : results) {
    if (!status.ok()) return status.error().with_context(fmt::format("making {}", c.name));
  }
  return {};
}

}  // namespace weir::checkpoint
