#include "engine/fairness.h"

#include <algorithm>

namespace weir::engine {

TenantState* TenantTable::enter(const std::string& name, double weight, int32_t max_running) {
  const auto [it, fresh] = tenants_.try_emplace(name);
  TenantState& t = it->second;
  if (fresh) {
    t.name = name;
  } else if (t.unfinished == 0) {
    --idle_;
  }
  t.weight = weight > 0 ? weight : 1.0;
  t.max_running = max_running;
  ++t.unfinished;
  return &t;
}

void TenantTable::leave(TenantState* tenant) {
  if (--tenant->unfinished > 0) return;
  ++idle_;
  if (idle_ > kMaxIdle) forget_idle();
}

void TenantTable::begin_waiting(TenantState& tenant) {
  if (tenant.waiting++ > 0) return;
  const TenantState* lowest = nullptr;
  for (const auto& [name, t] : tenants_) {
    if (&t != &tenant && t.waiting > 0 && (lowest == nullptr || t.counter < lowest->counter))
      lowest = &t;
  }
  tenant.counter = std::max(tenant.counter, lowest != nullptr ? lowest->counter : last_level_);
}

void TenantTable::end_waiting(TenantState& tenant) {
  if (--tenant.waiting == 0) last_level_ = tenant.counter;
}

void TenantTable::charge(TenantState& tenant, int64_t input_tokens, int64_t output_tokens) {
  tenant.counter += (kInputWeight * static_cast<double>(input_tokens) +
                     kOutputWeight * static_cast<double>(output_tokens)) /
                    tenant.weight;
}

// Half of them, lowest counters first.
void TenantTable::forget_idle() {
  std::vector<double> counters;
  for (const auto& [name, t] : tenants_) {
    if (t.unfinished == 0) counters.push_back(t.counter);
  }
  const auto middle = counters.begin() + static_cast<std::ptrdiff_t>(counters.size() / 2);
  std::nth_element(counters.begin(), middle, counters.end());
  const double median = *middle;
  idle_ -= std::erase_if(tenants_, [median](const auto& entry) {
    return entry.second.unfinished == 0 && entry.second.counter <= median;
  });
}

void ClassShare::served_interactive(int64_t tokens, bool batch_waits) {
  if (!batch_waits) {
    owed_tokens_ = 0;
    batch_first_ = false;
    return;
  }
  owed_tokens_ = std::min(owed_tokens_ + kBatchShare * static_cast<double>(tokens), kChunkTokens);
  if (owed_tokens_ >= kChunkTokens) batch_first_ = true;
}

void ClassShare::served_batch(int64_t tokens) {
  owed_tokens_ = std::max(0.0, owed_tokens_ - static_cast<double>(tokens));
  if (owed_tokens_ <= 0) batch_first_ = false;
}

}  // namespace weir::engine
