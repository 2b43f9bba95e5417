#include "ops/quantize/plan_scales.h"

#include <algorithm>
#include <cmath>

#include "model/architecture.h"
#include "ops/quantize/convert.h"
#include "ops/quantize/float_types.h"
#include "os/cpu.h"
#include "quant/codec.h"

namespace weir::ops {
namespace {

using gguf::TensorType;

// Copying keeps what is there, so a change would round it once more.
bool can_change(const PlannedTensor& p) { return !p.copied || is_float(p.type); }

// Every how many rows one is sampled, so that they are at most `most`.
size_t stride(size_t rows, size_t most) { return most == 0 ? 1 : (rows + most - 1) / most; }

}  // namespace

PlanScales::PlanScales(QuantizePlan& plan)
    : plan_(&plan), isa_(quant::best_search_isa(os::detect_cpu())) {}

Result<PlanScales> PlanScales::make(const gguf::File& file, QuantizePlan& plan) {
  WEIR_ASSIGN(const std::string_view architecture, file.get_string("general.architecture"));
  if (model::find_architecture(architecture) == nullptr) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: where factors may move is known of these architectures, and '{}' is "
                      "none of them: {}; take --method search or gptq",
                      file.path(), architecture, model::known_architectures());
  }
  checkpoint::FoldShapes shapes;
  for (const PlannedTensor& p : plan.tensors) {
    std::vector<uint64_t> shape(p.source->shape.rbegin(), p.source->shape.rend());
    shapes.emplace(p.source->name, std::move(shape));
  }
  PlanScales scales(plan);
  for (const checkpoint::FoldRule& rule : checkpoint::fold_rules(shapes))
    WEIR_TRY(scales.add(rule));
  return scales;
}

PlannedTensor* PlanScales::find(const std::string& name) const {
  const auto at = std::find_if(plan_->tensors.begin(), plan_->tensors.end(),
                               [&](const PlannedTensor& p) { return p.source->name == name; });
  return at == plan_->tensors.end() ? nullptr : &*at;
}

Status PlanScales::add(const checkpoint::FoldRule& rule) {
  Tensors t{find(rule.maker), rule.norm, {}, {}};
  bool possible = rule.norm ? is_float(t.maker->source->type) : can_change(*t.maker);
  Place place{rule.readers.front(), 0, 0};
  for (const std::string& name : rule.readers) {
    PlannedTensor& reader = *t.readers.emplace_back(find(name));
    possible = possible && can_change(reader);
    place.rows += reader.source->rows();
    place.cols = reader.source->shape[0];
  }
  if (!possible) {
    ++left_out_;
    return {};
  }
  if (rule.norm) {
    t.norm_values.resize(place.cols);
    const gguf::Tensor& norm = *t.maker->source;
    if (auto status = quant::decode(norm.type, norm.data, t.norm_values); !status.ok())
      return status.error().with_context(norm.name);
  }
  places_.push_back(std::move(place));
  tensors_.push_back(std::move(t));
  return {};
}

Result<std::vector<float>> PlanScales::sample(size_t place, size_t most_rows) const {
  const size_t cols = places_[place].cols;
  const size_t step = stride(places_[place].rows, most_rows);
  std::vector<float> values;
  size_t next = 0;  // row of the reader
  for (const PlannedTensor* reader : tensors_[place].readers) {
    const gguf::Tensor& t = *reader->source;
    const size_t row_bytes = t.data.size() / t.rows();
    for (; next < t.rows(); next += step) {
      values.resize(values.size() + cols);
      const std::span<float> row = std::span(values).last(cols);
      WEIR_TRY(quant::decode(t.type, t.data.subspan(next * row_bytes, row_bytes), row));
      if (std::all_of(row.begin(), row.end(), [](float v) { return std::isfinite(v); })) continue;
      return make_error(ErrorCode::kInvalidValue, "{}: a value of row {} is not finite", t.name,
                        next);
    }
    next -= t.rows();
  }
  return values;
}

Status PlanScales::round_trip(size_t place, size_t most_rows, std::span<const float> weights,
                              std::span<float> values) const {
  const size_t cols = places_[place].cols;
  const size_t step = stride(places_[place].rows, most_rows);
  std::vector<std::byte> bytes;
  size_t next = 0;
  for (const PlannedTensor* reader : tensors_[place].readers) {
    const size_t all = reader->source->rows();
    const size_t rows = next < all ? (all - next + step - 1) / step : 0;
    next = next + rows * step - all;
    const std::span<float> its = values.first(rows * cols);
    values = values.subspan(its.size());
    bytes.resize(bytes_as(reader->type, its.size()));
    auto status = quant::quantize_rows(reader->type, its, cols, weights, bytes, isa_);
    if (status.ok()) status = quant::decode(reader->type, bytes, its);
    if (!status.ok()) return status.error().with_context(reader->source->name);
  }
  return {};
}

void PlanScales::fold(size_t place, std::vector<float> factors) {
  Tensors& t = tensors_[place];
  TensorTransform& maker = plan_->transforms[t.maker->source->name];
  if (t.norm) {
    maker.values = t.norm_values;
    for (size_t i = 0; i < factors.size(); ++i) {
      const float now = t.norm_values[i] / factors[i];
      factors[i] = checkpoint::settled_factor(t.norm_values[i], now);
      if (factors[i] > 0) {
        maker.values[i] = now;
      } else {
        factors[i] = 1;
      }
    }
    plan_->bytes -= t.maker->bytes;
    t.maker->type = TensorType::kF32;
    t.maker->bytes = bytes_as(t.maker->type, factors.size());
    plan_->bytes += t.maker->bytes;
  } else {
    for (const float f : factors) maker.rows.push_back(1 / f);
  }
  t.maker->copied = false;
  for (PlannedTensor* reader : t.readers) {
    reader->copied = false;
    plan_->transforms[reader->source->name].columns = factors;
  }
}

}  // namespace weir::ops
