#include "model/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace weir::model {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

bool sigmoids(Routing r) { return r == Routing::kSigmoid || r == Routing::kSigmoidRenormalized; }

double sigmoid(float logit) { return 1.0 / (1.0 + std::exp(-static_cast<double>(logit))); }

// The indices of the greatest scores, best first: insertion into the short list of them. Equals
// keep the order of their index.
void take_best(std::span<const float> scores, std::span<int32_t> best) {
  size_t filled = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    size_t at = filled;
    while (at > 0 && scores[i] > scores[static_cast<size_t>(best[at - 1])]) --at;
    if (at == best.size()) continue;
    filled = std::min(filled + 1, best.size());
    std::move_backward(best.begin() + static_cast<std::ptrdiff_t>(at),
                       best.begin() + static_cast<std::ptrdiff_t>(filled) - 1,
                       best.begin() + static_cast<std::ptrdiff_t>(filled));
    best[at] = static_cast<int32_t>(i);
  }
}

// What experts are chosen by. A softmax keeps the order of the logits, so without a bias they stand
// for it.
std::vector<float> choice_scores(const RouteRule& rule, std::span<const float> logits,
                                 std::span<const float> bias) {
  std::vector<float> scores(logits.begin(), logits.end());
  if (sigmoids(rule.routing)) {
    for (float& s : scores) s = static_cast<float>(sigmoid(s));
  } else if (!bias.empty()) {
    const float top = *std::max_element(logits.begin(), logits.end());
    float sum = 0.0F;
    for (float& s : scores) sum += s = std::exp(s - top);
    for (float& s : scores) s /= sum;
  }
  for (size_t i = 0; i < bias.size(); ++i) scores[i] += bias[i];
  return scores;
}

// Takes the experts outside the best groups out of the choice.
void keep_best_groups(const RouteRule& rule, std::span<float> scores) {
  const size_t size = scores.size() / static_cast<size_t>(rule.groups);
  std::vector<float> totals;
  for (size_t first = 0; first < scores.size(); first += size) {
    int32_t best[2] = {0, 0};
    const std::span<const float> group = scores.subspan(first, size);
    const size_t counted = sigmoids(rule.routing) ? std::min<size_t>(2, size) : 1;
    take_best(group, std::span(best).first(counted));
    float total = 0.0F;
    for (size_t i = 0; i < counted; ++i) total += group[static_cast<size_t>(best[i])];
    totals.push_back(total);
  }
  std::vector<int32_t> used(static_cast<size_t>(rule.groups_used));
  take_best(totals, used);
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::find(used.begin(), used.end(), static_cast<int32_t>(i / size)) == used.end())
      scores[i] = kNever;
  }
}

void weigh(const RouteRule& rule, std::span<const float> logits, std::span<Route> routes) {
  float top = kNever;
  for (const Route& r : routes) top = std::max(top, logits[static_cast<size_t>(r.expert)]);
  if (rule.routing == Routing::kSoftmax)
    top = std::max(top, *std::max_element(logits.begin(), logits.end()));
  const auto mass = [&](float logit) {
    return sigmoids(rule.routing) ? sigmoid(logit)
                                  : std::exp(static_cast<double>(logit) - static_cast<double>(top));
  };
  double sum = 0.0;
  switch (rule.routing) {
    case Routing::kSigmoid:
      sum = 1.0;
      break;
    case Routing::kSoftmax:
      for (const float logit : logits) sum += mass(logit);
      break;
    default:  // softmax over all and division by the used share is the softmax over the used
      for (const Route& r : routes) sum += mass(logits[static_cast<size_t>(r.expert)]);
      break;
  }
  const double scale = static_cast<double>(rule.scale);
  for (Route& r : routes)
    r.weight = static_cast<float>(mass(logits[static_cast<size_t>(r.expert)]) / sum * scale);
}

}  // namespace

void route(const RouteRule& rule, std::span<const float> logits, std::span<const float> bias,
           std::span<Route> routes) {
  std::vector<float> scores = choice_scores(rule, logits, bias);
  if (rule.groups_used < rule.groups) keep_best_groups(rule, scores);
  std::vector<int32_t> best(routes.size());
  take_best(scores, best);
  for (size_t i = 0; i < best.size(); ++i) routes[i].expert = best[i];
  weigh(rule, logits, routes);
  std::sort(routes.begin(), routes.end(),
            [](const Route& a, const Route& b) { return a.expert < b.expert; });
}

}  // namespace weir::model
