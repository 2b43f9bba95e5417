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

// logits: [experts]. routes: [used], the experts with the greatest logits (the lower index of
// equals first), ordered by expert index. Logits that are not finite give weights that are not.
// Sources: Fedus et al. 2021 (Switch), Jiang et al. 2024 (Mixtral); the architectures' modelling
// code for which softmax is taken.
void route(Routing routing, std::span<const float> logits, std::span<Route> routes);

}  // namespace weir::model
