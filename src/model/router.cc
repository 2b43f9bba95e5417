#include "model/router.h"

#include <algorithm>
#include <cmath>

namespace weir::model {

void route(Routing routing, std::span<const float> logits, std::span<Route> routes) {
  // Insertion into the short list of the best: used is small.
  size_t filled = 0;
  for (size_t e = 0; e < logits.size(); ++e) {
    size_t at = filled;
    while (at > 0 && logits[e] > logits[static_cast<size_t>(routes[at - 1].expert)]) --at;
    if (at == routes.size()) continue;
    filled = std::min(filled + 1, routes.size());
    std::move_backward(routes.begin() + static_cast<std::ptrdiff_t>(at),
                       routes.begin() + static_cast<std::ptrdiff_t>(filled) - 1,
                       routes.begin() + static_cast<std::ptrdiff_t>(filled));
    routes[at].expert = static_cast<int32_t>(e);
  }
  const double top = static_cast<double>(logits[static_cast<size_t>(routes[0].expert)]);
  const auto mass = [&](float logit) { return std::exp(static_cast<double>(logit) - top); };
  double sum = 0.0;
  if (routing == Routing::kSoftmax) {
    for (const float logit : logits) sum += mass(logit);
  } else {  // softmax over all and division by the used share is the softmax over the used
    for (const Route& r : routes) sum += mass(logits[static_cast<size_t>(r.expert)]);
  }
  for (Route& r : routes)
    r.weight = static_cast<float>(mass(logits[static_cast<size_t>(r.expert)]) / sum);
  std::sort(routes.begin(), routes.end(),
            [](const Route& a, const Route& b) { return a.expert < b.expert; });
}

}  // namespace weir::model
