// The places of a model on its way to GGUF where AWQ's factors go: the rules of
// checkpoint/fold_rules.h on the tensors of a plan.
#pragma once

#include <vector>

#include "base/result.h"
#include "checkpoint/fold_rules.h"
#include "ops/quantize/quantize.h"
#include "quant/quantize.h"

namespace weir::ops {

// Changes the plan's transforms. Places with a quantized tensor that the plan only copies are left
// out: it would have to be rounded anew.
class PlanScales final : public checkpoint::ScalePlaces {
 public:
  // plan: borrowed; its types are what round trips go through. Errors: kUnsupported for an
  // architecture that is not known, whose tensors may stand in other places than their names say;
  // those of Moments::find for an unreadable norm.
  static Result<PlanScales> make(const gguf::File& file, QuantizePlan& plan);

  const std::vector<Place>& places() const override { return places_; }
  Result<std::vector<float>> sample(size_t place, size_t most_rows) const override;
  Status round_trip(size_t place, size_t most_rows, std::span<const float> weights,
                    std::span<float> values) const override;
  void fold(size_t place, std::vector<float> factors) override;
  // Places that the rules know and that were left out.
  size_t left_out() const { return left_out_; }

 private:
  struct Tensors {
    PlannedTensor* maker = nullptr;
    bool norm = false;
    std::vector<float> norm_values;
    std::vector<PlannedTensor*> readers;
  };

  explicit PlanScales(QuantizePlan& plan);
  Status add(const checkpoint::FoldRule& rule);
  PlannedTensor* find(const std::string& name) const;

  QuantizePlan* plan_;
  quant::SearchIsa isa_;
  std::vector<Place> places_;
  std::vector<Tensors> tensors_;  // of the places
  size_t left_out_ = 0;
};

}  // namespace weir::ops
