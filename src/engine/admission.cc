#include "engine/admission.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace weir::engine {
namespace {

// A prediction that was off says by how much the next will be; the last ten or so count. Shorter
// waits say nothing: a step's length decides them.
constexpr double kCorrectionSmoothing = 0.1;
constexpr double kMinLearnedMs = 50;
constexpr size_t kWorst = 2;  // of the window are beyond what an SLO is held by
// Beyond, something else is wrong, and refusing by it would feed on itself.
constexpr double kMinCorrection = 0.5;
constexpr double kMaxCorrection = 3.0;

int64_t total(const TenantLoads& tenants, size_t service_class) {
  int64_t tokens = 0;
  for (const auto& [name, t] : tenants) tokens += t.backlog_tokens[service_class];
  return tokens;
}

// Tokens of the class that are served before the newcomer's.
double ahead_in_class(const TenantLoads& tenants, Fairness fairness, const Newcomer& n) {
  const size_t c = class_index(n.service_class);
  if (fairness == Fairness::kFifo) return static_cast<double>(total(tenants, c));
  const auto own = tenants.find(n.tenant);
  // An idle tenant is lifted when it comes back.
  const bool waits = own != tenants.end() && !own->second.idle();
  const double counter = waits ? own->second.counter : lowest_counter(tenants);
  double ahead = waits ? static_cast<double>(own->second.backlog_tokens[c]) : 0;
  const double level = counter + kInputWeight * (ahead + static_cast<double>(n.tokens)) / n.weight;
  for (const auto& [name, t] : tenants) {
    if (name == n.tenant) continue;
    const double room = (level - t.counter) * t.weight / kInputWeight;
    ahead += std::clamp(room, 0.0, static_cast<double>(t.backlog_tokens[c]));
  }
  return ahead;
}

}  // namespace

double lowest_counter(const TenantLoads& tenants, const TenantLoad* but) {
  double lowest = 0;
  bool any = false;
  for (const auto& [name, t] : tenants) {
    if (t.idle() || &t == but) continue;
    lowest = any ? std::min(lowest, t.counter) : t.counter;
    any = true;
  }
  return lowest;
}

double prefill_token_ms(const EngineLoad& load, int64_t position, bool late) {
  const StepBudget& b = load.budget;
  if (!b.costs.known()) return 0;
  const double alone_ms = b.costs.predict_ms(load.decodes);
  const double allowance =
      prefill_allowance_ms(b, load.decodes, load.interactive_decodes, load.batch_decodes, late);
  const int64_t fits = std::clamp<int64_t>(b.costs.prefill_tokens_within(allowance, position), 1,
                                           std::max(1, b.step_tokens));
  return (alone_ms + b.costs.prefill_ms(position, fits)) / static_cast<double>(fits);
}

Prediction predict_first_token(const EngineLoad& load, const TenantLoads& tenants,
                               Fairness fairness, const Newcomer& n) {
  double ahead = ahead_in_class(tenants, fairness, n);
  if (n.service_class == ServiceClass::kBatch) {
    // All interactive ones come first, but for the share of batch.
    const double mine = ahead + static_cast<double>(n.tokens);
    ahead += std::min(static_cast<double>(total(tenants, 0)), mine / ClassShare::kBatchShare);
  } else {
    ahead += std::min(static_cast<double>(total(tenants, 1)), ClassShare::kBatchShare * ahead);
  }
  Prediction p;
  p.ahead_tokens = static_cast<int64_t>(ahead);
  const double computed = 1.0 - load.cached_share;
  double token_ms = prefill_token_ms(load, n.tokens / 2, false);
  const double own_ms = load.budget.costs.prefill_ms(0, n.tokens) * computed;
  if (is_late((ahead + static_cast<double>(n.tokens)) * computed * token_ms, own_ms))
    token_ms = prefill_token_ms(load, n.tokens / 2, true);
  p.wait_ms = ahead * computed * token_ms;
  if (load.full && load.running > 0 && load.residence_ms > 0) {
    int64_t requests = 0;
    int64_t tokens = 0;
    for (const auto& [name, t] : tenants) {
      requests += t.queued_requests;
      tokens += t.queued_tokens;
    }
    const double part = tokens > 0 ? std::min(1.0, ahead / static_cast<double>(tokens)) : 0;
    const double ends = part * static_cast<double>(requests) + 1;
    p.wait_ms = std::max(p.wait_ms, ends * load.residence_ms / load.running);
  }
  p.ttft_ms = p.wait_ms + static_cast<double>(n.tokens) * computed * token_ms;
  return p;
}

void Correction::learn(double predicted_ms, double actual_ms) {
  if (predicted_ms < kMinLearnedMs || !(actual_ms > 0)) return;
  const double ratio = std::clamp(actual_ms / predicted_ms, kMinCorrection, kMaxCorrection);
  mean_ += kCorrectionSmoothing * (ratio - mean_);
  recent_[next_] = ratio;
  next_ = (next_ + 1) % kWindow;
  std::array<double, kWindow> sorted = recent_;
  std::nth_element(sorted.begin(), sorted.begin() + kWorst, sorted.end(), std::greater<>());
  high_ = std::max(mean_, sorted[kWorst]);
}

}  // namespace weir::engine
