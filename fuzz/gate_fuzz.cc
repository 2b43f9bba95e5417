// A gate of `weir eval compare` from outside.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ops/eval/gate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto gate = weir::ops::parse_gate({reinterpret_cast<const char*>(data), size}, "g");
  if (!gate.ok()) return gate.error().message.empty() ? std::abort(), 0 : 0;
  if (!(gate->confidence >= 0.5 && gate->confidence < 1 && gate->power < 1)) std::abort();
  if (gate->resamples < 1000 || gate->resamples > 100'000 || gate->rules.empty()) std::abort();
  for (const weir::ops::GateRule& rule : gate->rules) {
    if (rule.task.empty() || !(rule.margin > 0) || rule.min_items < 2) std::abort();
  }
  return 0;
}
