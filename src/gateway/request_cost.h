// What a request may ask of models, and what that costs at the most. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "gateway/config.h"

namespace weir::gateway {

// Nanos at the dearest target that the model can go to, whose cache would have to be written anew.
// Targets without a price cost nothing.
int64_t dearest_cost(const GatewayConfig& config, const ModelConfig& model, int64_t input_tokens,
                     int64_t output_tokens);

// One of the models that a request may ask, and with how much.
struct ModelAsked {
  const ModelConfig* model = nullptr;
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
};
// The model itself; of a cascade every step and judge, for all of them may be asked.
std::vector<ModelAsked> asked_by(const GatewayConfig& config, const ModelConfig& model,
                                 int64_t input_tokens, int64_t output_tokens);
// The step's model, and its judge.
std::vector<ModelAsked> asked_by(const GatewayConfig& config, const CascadeStepConfig& step,
                                 int64_t input_tokens, int64_t output_tokens);

// Nanos of all of them together, each at its dearest.
int64_t dearest_cost(const GatewayConfig& config, const std::vector<ModelAsked>& asked);

}  // namespace weir::gateway
