// Which experts a token takes, and their weights. Pure; the choice for a token depends on its own
// logits alone.
#pragma once

#include <cstdint>
#include <span>

#include "model/architecture.h"

namespace weir::model {

struct Route {
  int32_t expert = 0;
  float weight = 0.0F;
};

// Experts may stand in groups, equal runs of them: then only those of the best groups are taken. A
// group is as good as its best expert or, where sigmoids are taken, as its best two together.
// Preconditions: groups divides the experts; groups_used <= groups; the groups used hold enough.
struct RouteRule {
  Routing routing = Routing::kSoftmaxRenormalized;
  int32_t groups = 1;
  int32_t groups_used = 1;
  float scale = 1.0F;  // of the weights
};

// logits: [experts]. bias: [experts], added to what experts are chosen by (with softmaxes the
// probability over all experts), not to what they weigh; or empty. routes: [used], the best experts
// (the lower index of equals first), ordered by expert index. Logits that are not finite give
// weights that are not. Sources: Fedus et al. 2021 (Switch), Jiang et al. 2024 (Mixtral),
// DeepSeek-AI 2024 (DeepSeek-V2, V3: groups, sigmoids and the bias); the architectures' modelling
// code for which softmax is taken.
void route(const RouteRule& rule, std::span<const float> logits, std::span<const float> bias,
           std::span<Route> routes);

}  // namespace weir::model
