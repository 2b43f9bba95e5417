#include "ops/quantize/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "engine/model_identity.h"
#include "engine/model_runner.h"
#include "gguf/writer.h"
#include "kv/kv_storage.h"
#include "model/model.h"
#include "ops/eval/fingerprint.h"
#include "ops/eval/kl.h"
#include "ops/eval/scored_rows.h"
#include "ops/quantize/calibration.h"
#include "ops/quantize/convert.h"
#include "os/file.h"
#include "quant/codec.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kKind = "weir.sensitivity";
constexpr uint64_t kMaxFileBytes = 64 << 20;
// The error of Q4_0 is measured at three times its size: alone it hardly stands out of what any
// change does, since activations are rounded to 8 bits and every rounding falls out anew. That much
// is measured for each layer with a twentieth of the error, and taken off.
constexpr float kExaggerated = 3;
constexpr float kHardly = 0.05F;

// A model of a file in which all matrices are Q8_0, but for one or none, for as long as it takes to
// run it: Q8_0 runs several times as fast as 16-bit floats, and what it loses itself is in the base
// as well.
class Variants {
 public:
  Variants(const gguf::File& file, const KlBaseHeader& header, kernels::Isa isa,
           kernels::ThreadPool& pool)
      : file_(file), header_(header), isa_(isa), pool_(pool) {}

  Status prepare(std::span<const gguf::Tensor* const> tensors, Converter& converter) {
    tensors_ = file_.tensors();
    for (const gguf::Tensor* t : tensors) {
      WEIR_ASSIGN(const auto bytes, converter.convert(rows_of(*t, 0, t->rows()),
                                                      gguf::TensorType::kQ8_0, {}, nullptr));
      q8_0_.emplace_back(bytes.begin(), bytes.end());
      gguf::Tensor& own = tensors_[index_of(*t)];
      own.type = gguf::TensorType::kQ8_0;
      own.data = q8_0_.back();
    }
    gguf::Writer writer;
    for (const gguf::Metadata& m : file_.metadata()) {
      if (!m.key.starts_with("split.")) writer.set(m.key, m.value);
    }
    WEIR_ASSIGN(metadata_, writer.to_bytes());
    return with(nullptr, {}, [this](engine::Runner& runner) { return keep_base(runner); });
  }

  Result<double> kl(const gguf::Tensor& replaced, std::span<const std::byte> q8_0) {
    double mean = 0;
    WEIR_TRY(with(&replaced, q8_0, [&](engine::Runner& runner) -> Status {
      WEIR_ASSIGN(const KlResult result, measure_kl(runner, header_, source(), {}));
      mean = result.kl.value;
      return {};
    }));
    return mean;
  }

 private:
  size_t index_of(const gguf::Tensor& t) const {
    return static_cast<size_t>(&t - file_.tensors().data());
  }

  template <typename Use>
  Status with(const gguf::Tensor* replaced, std::span<const std::byte> q8_0, const Use& use) {
    gguf::File::Parts parts;
    parts.path = file_.path();
    parts.metadata = metadata_;
    parts.tensors = tensors_;
    parts.total_bytes = file_.total_bytes();
    if (replaced != nullptr) parts.tensors[index_of(*replaced)].data = q8_0;
    WEIR_ASSIGN(gguf::File file, gguf::File::assemble(std::move(parts)));
    model::LoadOptions options;
    options.isa = isa_;
    options.context_tokens = header_.context_tokens;
    WEIR_ASSIGN(const auto model, model::Model::load(std::move(file), pool_, options));
    const int32_t pages = (header_.context_tokens + engine::kPageTokens - 1) / engine::kPageTokens;
    WEIR_ASSIGN(const auto storage, kv::KvStorage::allocate(model->kv_layout(engine::kPageTokens),
                                                            model->config().layers, pages));
    engine::ModelRunner runner(*model, *storage, std::nullopt);
    return use(runner);
  }

  Status keep_base(engine::Runner& runner) {
    const kernels::Kernels& kernels = kernels::kernels_for(runner.isa());
    ScoredRows rows(runner, header_.context_tokens, header_.bos);
    const auto context = static_cast<size_t>(header_.context_tokens);
    for (int64_t i = 0; i < header_.chunks; ++i) {
      const auto chunk = std::span<const int32_t>(header_.tokens)
                             .subspan(static_cast<size_t>(i) * context, context);
      WEIR_TRY(rows.run(chunk, [&](int32_t position, std::span<const float> logits) {
        return quantize_row(kernels, logits, chunk[static_cast<size_t>(position) + 1],
                            base_.emplace_back());
      }));
    }
    return {};
  }

  KlBaseSource source() const {
    return [this](int64_t chunk, int32_t row) -> Result<const KlBaseRow*> {
      return &base_[static_cast<size_t>(chunk * scored_rows(header_.context_tokens) + row)];
    };
  }

  const gguf::File& file_;
  const KlBaseHeader& header_;
  kernels::Isa isa_;
  kernels::ThreadPool& pool_;
  std::vector<gguf::Tensor> tensors_;
  std::vector<std::vector<std::byte>> q8_0_;
  std::vector<std::byte> metadata_;
  std::vector<KlBaseRow> base_;
};

// One tensor, and what Q4_0 makes of it.
class Replacement {
 public:
  Replacement(const gguf::Tensor& t, kernels::ThreadPool& pool) : t_(t), pool_(pool) {}

  Status prepare(const ImportanceMatrix* importance, Converter& converter) {
    std::vector<float> means;
    WEIR_TRY(importance_of(t_, importance, means));
    WEIR_ASSIGN(const auto bytes, converter.convert(rows_of(t_, 0, t_.rows()),
                                                    gguf::TensorType::kQ4_0, means, nullptr));
    q4_0_.assign(bytes.begin(), bytes.end());
    return {};
  }

  // Q8_0 of the tensor with `times` the error of Q4_0.
  Result<std::span<const std::byte>> with_error(float times) {
    const size_t rows = t_.rows(), cols = t_.shape[0];
    const size_t row_bytes = bytes_as(gguf::TensorType::kQ8_0, cols);
    q8_0_.resize(rows * row_bytes);
    std::vector<Status> status(pool_.threads());
    pool_.parallel_for(rows, [&](size_t row, size_t worker) {
      const Status s = one(row, times, std::span(q8_0_).subspan(row * row_bytes, row_bytes));
      if (!s.ok()) status[worker] = s;
    });
    for (const Status& s : status) {
      if (!s.ok()) return s.error().with_context(t_.name);
    }
    return std::span<const std::byte>(q8_0_);
  }

 private:
  Status one(size_t row, float times, std::span<std::byte> target) const {
    const size_t cols = t_.shape[0];
    const size_t from = t_.data.size() / t_.rows(), coarse = q4_0_.size() / t_.rows();
    std::vector<float> values(cols), rounded(cols);
    WEIR_TRY(quant::decode(t_.type, t_.data.subspan(row * from, from), values));
    WEIR_TRY(quant::decode(gguf::TensorType::kQ4_0, std::span(q4_0_).subspan(row * coarse, coarse),
                           rounded));
    for (size_t i = 0; i < cols; ++i) values[i] += times * (rounded[i] - values[i]);
    return quant::encode(gguf::TensorType::kQ8_0, values, target);
  }

  const gguf::Tensor& t_;
  kernels::ThreadPool& pool_;
  std::vector<std::byte> q4_0_, q8_0_;
};

// "blk.7." of a tensor of layer 7, else its name.
std::string layer_of(const std::string& name) {
  return name.starts_with("blk.") ? name.substr(0, name.find('.', 4) + 1) : name;
}

Error wrong(std::string_view field, std::string_view wanted) {
  return make_error(ErrorCode::kCorrupt, "no file of sensitivities: '{}' is not {}", field, wanted);
}

Result<std::string> text_of(const Json& root, std::string_view field) {
  const Json* j = root.find(field);
  if (j == nullptr || !j->is_string()) return wrong(field, "a string");
  return j->as_string();
}

Result<int32_t> count_of(const Json& root, std::string_view field) {
  const Json* j = root.find(field);
  if (j == nullptr || !j->is_int() || j->as_int() < 0 || j->as_int() > INT32_MAX)
    return wrong(field, "a count");
  return static_cast<int32_t>(j->as_int());
}

}  // namespace

Status check_sensitivity(const Sensitivity& before, const Sensitivity& now) {
  const std::tuple<const char*, std::string, std::string> parts[] = {
      {"the model", before.model, now.model},
      {"the text", before.text, now.text},
      {"the importance matrix", before.importance, now.importance},
      {"the context", fmt::format("{}", before.context_tokens),
       fmt::format("{}", now.context_tokens)},
      {"the number of chunks", fmt::format("{}", before.chunks), fmt::format("{}", now.chunks)},
  };
  for (const auto& [what, was, is] : parts) {
    if (was == is) continue;
    return make_error(ErrorCode::kInvalidValue,
                      "the sensitivities were measured otherwise: {} differs (was '{}', is '{}'); "
                      "give what they were measured with, or remove the file",
                      what, was, is);
  }
  return {};
}

Result<Sensitivity> measure_sensitivity(const gguf::File& file,
                                        std::span<const gguf::Tensor* const> tensors,
                                        const KlBaseHeader& header,
                                        const ImportanceMatrix* importance, kernels::Isa isa,
                                        kernels::ThreadPool& pool,
                                        const SensitivityProgress& progress,
                                        const SensitivityKeeping& keeping) {
  Sensitivity s;
  s.model = hex(engine::model_identity(file));
  s.text = hex(header.text);
  if (importance != nullptr) s.importance = hex(importance->hash);
  s.context_tokens = header.context_tokens;
  s.chunks = header.chunks;
  s.windows = windows_of(header.tokens, hex(header.vocabulary));
  if (keeping.before) {
    WEIR_TRY(check_sensitivity(*keeping.before, s));
    s.kl = keeping.before->kl;
  }
  Variants variants(file, header, isa, pool);
  Converter converter(pool);
  WEIR_TRY(variants.prepare(tensors, converter));
  const auto kl = [&](const gguf::Tensor& t, float times) -> Result<double> {
    Replacement replacement(t, pool);
    WEIR_TRY(replacement.prepare(importance, converter));
    WEIR_ASSIGN(const auto bytes, replacement.with_error(times));
    auto found = variants.kl(t, bytes);
    if (!found.ok()) return found.error().with_context(t.name);
    return found;
  };
  std::map<std::string, const gguf::Tensor*> firsts;  // of each layer
  for (const gguf::Tensor* t : tensors) firsts.try_emplace(layer_of(t->name), t);
  std::map<std::string, double> floors;  // of each layer, by its first tensor
  for (size_t i = 0; i < tensors.size(); ++i) {
    const gguf::Tensor& t = *tensors[i];
    if (progress) progress(i, tensors.size(), t.name);
    if (s.kl.contains(t.name)) continue;
    const auto [floor, is_new] = floors.try_emplace(layer_of(t.name));
    if (is_new) {
      WEIR_ASSIGN(floor->second, kl(*firsts.at(floor->first), kHardly));
    }
    WEIR_ASSIGN(const double found, kl(t, kExaggerated));
    // Nothing is free of loss, whatever the rounding says.
    const double above = std::max(found - floor->second, 0.05 * found);
    s.kl[t.name] = above / (kExaggerated * kExaggerated);
    if (keeping.keep) WEIR_TRY(keeping.keep(s));
  }
  return s;
}

Status write_sensitivity(const Sensitivity& s, const std::string& path) {
  Json root = Json::object();
  root.set("kind", kKind);
  root.set("type", gguf::type_name(s.type));
  root.set("model", s.model);
  root.set("text", s.text);
  if (!s.importance.empty()) root.set("importance", s.importance);
  root.set("context", int64_t{s.context_tokens});
  root.set("chunks", int64_t{s.chunks});
  if (s.windows) root.set("windows", windows_json(*s.windows));
  Json tensors = Json::object();
  for (const auto& [name, kl] : s.kl) tensors.members().emplace_back(name, kl);
  root.set("tensors", std::move(tensors));
  return os::write_file_atomic(path, root.dump({.indent = 1}) + "\n");
}

Result<Sensitivity> parse_sensitivity(std::string_view json) {
  WEIR_ASSIGN(const Json root, Json::parse(json, {.max_depth = 8}));
  WEIR_ASSIGN(const std::string kind, text_of(root, "kind"));
  if (kind != kKind) return wrong("kind", kKind);
  Sensitivity s;
  WEIR_ASSIGN(const std::string type, text_of(root, "type"));
  const auto parsed = gguf::type_by_name(type);
  if (!parsed) return wrong("type", "a type of tensors");
  s.type = *parsed;
  WEIR_ASSIGN(s.model, text_of(root, "model"));
  WEIR_ASSIGN(s.text, text_of(root, "text"));
  if (root.find("importance") != nullptr) {
    WEIR_ASSIGN(s.importance, text_of(root, "importance"));
  }
  WEIR_ASSIGN(s.context_tokens, count_of(root, "context"));
  WEIR_ASSIGN(s.chunks, count_of(root, "chunks"));
  if (const Json* windows = root.find("windows"); windows != nullptr) {
    WEIR_ASSIGN(s.windows, parse_windows(*windows));
  }
  const Json* tensors = root.find("tensors");
  if (tensors == nullptr || !tensors->is_object() || tensors->size() == 0)
    return wrong("tensors", "an object of tensors");
  for (const auto& [name, kl] : tensors->members()) {
    if (!kl.is_number() || !(kl.as_double() >= -1 && kl.as_double() < 1e6))
      return wrong("tensors." + name.substr(0, 100), "a KL divergence");
    s.kl[name] = kl.as_double();
  }
  return s;
}

Result<Sensitivity> read_sensitivity(const std::string& path) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxFileBytes));
  auto s = parse_sensitivity(text);
  if (!s.ok()) return s.error().with_context(path);
  return s;
}

}  // namespace weir::ops
