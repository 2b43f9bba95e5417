#include "ops/quantize/rotate_model.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include "gguf/writer.h"
#include "model/config.h"
#include "quant/codec.h"

namespace weir::ops {
namespace {

// What a tensor has to do with the residual stream.
enum class Use {
  kNothing,
  kNorm,              // its weights go into the readers
  kReadsAttention,    // the norm before attention
  kReadsFeedForward,  // the norm before the feed-forward part
  kWrites,            // its rows are the stream's channels
  kBias,              // a vector in the stream, or one for each expert
  kValue,             // reads as well
  kValueBias,
  kOutput,  // writes; reads the values
};

struct Part {
  std::string_view name;  // less "blk.N."
  Use use;
};

constexpr Part kParts[] = {
    {"attn_norm.weight", Use::kNorm},
    {"attn_q.weight", Use::kReadsAttention},
    {"attn_k.weight", Use::kReadsAttention},
    {"attn_v.weight", Use::kValue},
    {"attn_qkv.weight", Use::kReadsAttention},
    {"attn_output.weight", Use::kOutput},
    {"attn_q.bias", Use::kNothing},
    {"attn_k.bias", Use::kNothing},
    {"attn_v.bias", Use::kValueBias},
    {"attn_qkv.bias", Use::kNothing},
    {"attn_output.bias", Use::kBias},
    {"attn_q_norm.weight", Use::kNothing},
    {"attn_k_norm.weight", Use::kNothing},
    {"attn_sinks.weight", Use::kNothing},
    {"ffn_gate.weight", Use::kReadsFeedForward},
    {"ffn_up.weight", Use::kReadsFeedForward},
    {"ffn_down.weight", Use::kWrites},
    {"ffn_gate.bias", Use::kNothing},
    {"ffn_up.bias", Use::kNothing},
    {"ffn_down.bias", Use::kBias},
    {"ffn_gate_inp.weight", Use::kReadsFeedForward},
    {"ffn_gate_inp.bias", Use::kNothing},
    {"exp_probs_b.bias", Use::kNothing},
    {"ffn_gate_exps.weight", Use::kReadsFeedForward},
    {"ffn_up_exps.weight", Use::kReadsFeedForward},
    {"ffn_down_exps.weight", Use::kWrites},
    {"ffn_gate_exps.bias", Use::kNothing},
    {"ffn_up_exps.bias", Use::kNothing},
    {"ffn_down_exps.bias", Use::kBias},
    {"ffn_gate_inp_shexp.weight", Use::kReadsFeedForward},
    {"ffn_gate_shexp.weight", Use::kReadsFeedForward},
    {"ffn_up_shexp.weight", Use::kReadsFeedForward},
    {"ffn_down_shexp.weight", Use::kWrites},
};

// nullptr, or why the architecture's function does not stay.
const char* obstacle(const model::Architecture& arch) {
  if (arch.encoder || arch.learned_positions)
    return "vectors other than the token embedding are added to the stream before the first layer";
  if (arch.norm != model::NormKind::kRms)
    return "its norms subtract the mean, which a rotation does not keep";
  if (arch.latent_attention) return "rotating latent attention is not supported";
  if (arch.block != model::BlockKind::kPreNorm) {
    return "norms stand after its attention and feed-forward parts, and their weights cannot move "
           "into a matrix";
  }
  return nullptr;
}

class Rotator {
 public:
  Rotator(const gguf::File& file, const model::Config& config, const RotateOptions& options)
      : file_(file), config_(config), options_(options) {}

  Result<RotatedModel> run() {
    WEIR_TRY(make_rotations());
    bool tied = true;
    for (const gguf::Tensor& t : file_.tensors()) {
      WEIR_TRY(add(t));
      tied = tied && t.name != "output.weight";
    }
    if (tied) WEIR_TRY(untie());
    return std::move(out_);
  }

 private:
  Status make_rotations();
  Status add(const gguf::Tensor& t);
  Status add_of_layer(const gguf::Tensor& t, const std::string& prefix, std::string_view part);
  Status untie();
  Status reads(const gguf::Tensor& t, const std::string& norm);
  Result<std::vector<float>> norm(const std::string& name) const;
  Status check(const gguf::Tensor& t, bool fits) const;

  const gguf::File& file_;
  const model::Config& config_;
  const RotateOptions& options_;
  // shared: by the transforms of all tensors
  std::shared_ptr<const Rotation> stream_, head_;
  RotatedModel out_;
};

Status Rotator::make_rotations() {
  WEIR_ASSIGN(Rotation stream, Rotation::make(static_cast<size_t>(config_.dim), options_.seed, 1));
  stream_ = std::make_shared<const Rotation>(std::move(stream));
  if (!options_.heads) return {};
  WEIR_ASSIGN(Rotation head,
              Rotation::make(static_cast<size_t>(config_.value_dim), options_.seed, 2));
  head_ = std::make_shared<const Rotation>(std::move(head));
  return {};
}

Status Rotator::check(const gguf::Tensor& t, bool fits) const {
  if (fits) return {};
  return make_error(ErrorCode::kCorrupt,
                    "tensor {} has the shape [{}], which does not fit the metadata: a width of {} "
                    "and values of {}; download or convert the file again",
                    t.name, fmt::join(t.shape, ", "), config_.dim, config_.value_dim);
}

Result<std::vector<float>> Rotator::norm(const std::string& name) const {
  const gguf::Tensor* t = file_.find_tensor(name);
  if (t == nullptr) {
    return make_error(ErrorCode::kCorrupt,
                      "tensor {} is missing; the file is not a complete {} model: download or "
                      "convert it again",
                      name, config_.arch->name);
  }
  WEIR_TRY(check(*t, t->elements() == stream_->size()));
  std::vector<float> weights(t->elements());
  if (auto status = quant::decode(t->type, t->data, weights); !status.ok())
    return status.error().with_context(name);
  return weights;
}

Status Rotator::reads(const gguf::Tensor& t, const std::string& norm_name) {
  WEIR_TRY(check(t, t.shape[0] == stream_->size()));
  TensorTransform& transform = out_.transforms[t.name];
  WEIR_ASSIGN(transform.columns, norm(norm_name));
  transform.column_rotation = stream_;
  return {};
}

Status Rotator::add(const gguf::Tensor& t) {
  if (t.name.starts_with("blk.")) {
    const size_t end = t.name.find('.', 4);
    if (end != std::string::npos)
      return add_of_layer(t, t.name.substr(0, end + 1), std::string_view(t.name).substr(end + 1));
  }
  if (t.name == "token_embd.weight") {
    WEIR_TRY(check(t, t.shape[0] == stream_->size()));
    out_.transforms[t.name].column_rotation = stream_;
    return {};
  }
  if (t.name == "output.weight") return reads(t, "output_norm.weight");
  if (t.name == "output_norm.weight") {
    out_.transforms[t.name].values.assign(stream_->size(), 1.0F);
    return {};
  }
  if (t.name.starts_with("rope_f")) return {};
  return make_error(ErrorCode::kUnsupported,
                    "tensor {} is of no known use, so the stream that it may read or write cannot "
                    "be rotated; leave --rotations away",
                    t.name);
}

Status Rotator::add_of_layer(const gguf::Tensor& t, const std::string& prefix,
                             std::string_view part) {
  const std::string before_ffn = std::string(config_.arch->ffn_norm) + ".weight";
  const auto* known = std::find_if(std::begin(kParts), std::end(kParts),
                                   [&](const Part& p) { return p.name == part; });
  if (known == std::end(kParts) && part != before_ffn) {
    return make_error(ErrorCode::kUnsupported,
                      "tensor {} is of no known use, so the stream that it may read or write "
                      "cannot be rotated; leave --rotations away",
                      t.name);
  }
  // A layer whose v is a part of another matrix goes without R2.
  const bool heads = head_ != nullptr && file_.find_tensor(prefix + "attn_v.weight") != nullptr;
  const size_t rows = t.shape.size() > 1 ? t.shape[1] : 1;
  switch (part == before_ffn ? Use::kNorm : known->use) {
    case Use::kNothing:
      return {};
    case Use::kNorm:
      WEIR_TRY(check(t, t.elements() == stream_->size()));
      out_.transforms[t.name].values.assign(stream_->size(), 1.0F);
      return {};
    case Use::kReadsAttention:
      return reads(t, prefix + "attn_norm.weight");
    case Use::kReadsFeedForward:
      return reads(t, prefix + before_ffn);
    case Use::kValue:
      WEIR_TRY(reads(t, prefix + "attn_norm.weight"));
      if (!heads) return {};
      ++out_.head_layers;
      out_.transforms[t.name].row_rotation = head_;
      return check(t, rows % head_->size() == 0);
    case Use::kValueBias:
      if (heads) out_.transforms[t.name].column_rotation = head_;
      return check(t, !heads || t.shape[0] % head_->size() == 0);
    case Use::kOutput:
      if (heads) out_.transforms[t.name].column_rotation = head_;
      WEIR_TRY(check(t, !heads || t.shape[0] % head_->size() == 0));
      [[fallthrough]];
    case Use::kWrites:
      out_.transforms[t.name].row_rotation = stream_;
      return check(t, rows == stream_->size());
    case Use::kBias:
      out_.transforms[t.name].column_rotation = stream_;
      return check(t, t.shape[0] == stream_->size());
  }
  return {};
}

Status Rotator::untie() {
  gguf::File::Parts parts;
  gguf::Writer metadata;
  for (const gguf::Metadata& m : file_.metadata()) metadata.set(m.key, m.value);
  WEIR_ASSIGN(parts.metadata, metadata.to_bytes());
  parts.path = file_.path();
  parts.tensors = file_.tensors();
  parts.total_bytes = file_.total_bytes();
  const gguf::Tensor* embedding = file_.find_tensor("token_embd.weight");
  if (embedding == nullptr) {
    return make_error(ErrorCode::kCorrupt,
                      "tensor token_embd.weight is missing; download or "
                      "convert the file again");
  }
  gguf::Tensor output = *embedding;
  output.name = "output.weight";
  WEIR_TRY(reads(output, "output_norm.weight"));
  parts.tensors.push_back(std::move(output));
  WEIR_ASSIGN(out_.file, gguf::File::assemble(std::move(parts)));
  return {};
}

}  // namespace

Result<RotatedModel> rotate_model(const gguf::File& file, const RotateOptions& options) {
  WEIR_ASSIGN(const model::Config config, model::read_config(file));
  if (config.pooling.value_or(model::Pooling::kNone) != model::Pooling::kNone) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: cannot be rotated: it makes embeddings ({} pooling), which would be in "
                      "the other basis and without the final norm's weights; leave --rotations "
                      "away",
                      file.path(), model::pooling_name(*config.pooling));
  }
  if (const char* why = obstacle(*config.arch)) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: {} models cannot be rotated: {}; leave --rotations away", file.path(),
                      config.arch->name, why);
  }
  auto rotated = Rotator(file, config, options).run();
  if (!rotated.ok()) return rotated.error().with_context(file.path());
  return rotated;
}

}  // namespace weir::ops
