#include "ops/intake/infer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace weir::ops {

double precision_bits(std::string_view precision) {
  using Row = std::pair<std::string_view, double>;
  constexpr std::array kBits = {
      Row{"f32", 32},  Row{"bf16", 16}, Row{"f16", 16},   Row{"fp8", 8},    Row{"int8", 8},
      Row{"fp6", 6.6}, Row{"fp4", 4.5}, Row{"int4", 4.5}, Row{"int3", 3.5}, Row{"int2", 2.6}};
  const auto* it =
      std::find_if(kBits.begin(), kBits.end(), [&](const Row& r) { return r.first == precision; });
  return it == kBits.end() ? 0 : it->second;
}

Intake with_inferred(Intake intake) {
  if (intake.number("hardware.accelerators_per_node") == 0 &&
      intake.find("stack.tensor_parallel") == nullptr) {
    (void)intake
        .set("stack.tensor_parallel", int64_t{1}, Origin::kInferred,
             "hardware.accelerators_per_node is 0")
        .ok();
  }
  const auto precision = intake.text("model.precision");
  if (!precision || intake.find("model.bits_per_weight") != nullptr) return intake;
  const double bits = precision_bits(*precision);
  if (bits > 0) {
    // Of a precision of the field's choices, so it is within the range.
    (void)intake
        .set("model.bits_per_weight", bits, Origin::kInferred,
             fmt::format("of model.precision {}", *precision))
        .ok();
  }
  return intake;
}

}  // namespace weir::ops
