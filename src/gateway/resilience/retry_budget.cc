#include "gateway/resilience/retry_budget.h"

#include <algorithm>
#include <cmath>

namespace weir::gateway {

namespace {
constexpr int64_t kToken = 1'000'000;
constexpr int64_t kSecondNs = 1'000'000'000;

int64_t millionths(double value, double most) {
  return std::llround(std::clamp(value, 0.0, most) * static_cast<double>(kToken));
}
}  // namespace

RetryBudget::RetryBudget(const RetryBudgetConfig& config)
    : ratio_ppm_(millionths(config.ratio, 1.0)), floor_ppm_(millionths(config.min_per_s, 1000.0)) {}

void RetryBudget::advance(int64_t now_ns) {
  const int64_t second = std::max(newest_, now_ns / kSecondNs);
  if (first_ < 0) first_ = second;
  for (int64_t s = std::max(newest_, second - kWindowS) + 1; s <= second; ++s) at(s) = {};
  newest_ = second;
}

int64_t RetryBudget::left(int64_t second) {
  const Slot& slot = at(second);
  return std::max(slot.paid, floor_ppm_) - slot.taken;
}

int64_t RetryBudget::sum() {
  int64_t all = 0;
  for (int64_t s = std::max(first_, newest_ - kWindowS + 1); s <= newest_; ++s) all += left(s);
  return all;
}

void RetryBudget::on_request(int64_t now_ns) {
  advance(now_ns);
  at(newest_).paid += ratio_ppm_;
  ++requests_;
}

bool RetryBudget::withdraw(int64_t now_ns) {
  if (!available(now_ns)) {
    ++refused_;
    return false;
  }
  int64_t due = kToken;
  for (int64_t s = std::max(first_, newest_ - kWindowS + 1); due > 0; ++s) {
    const int64_t part = std::min(due, left(s));
    at(s).taken += part;
    due -= part;
  }
  ++retries_;
  return true;
}

void RetryBudget::give_back(int64_t now_ns) {
  advance(now_ns);
  int64_t due = kToken;
  for (int64_t s = newest_; due > 0 && s >= std::max(first_, newest_ - kWindowS + 1); --s) {
    const int64_t part = std::min(due, at(s).taken);
    at(s).taken -= part;
    due -= part;
  }
  if (retries_ > 0) --retries_;
}

bool RetryBudget::available(int64_t now_ns) {
  advance(now_ns);
  return sum() >= kToken;
}

RetryBudgetView RetryBudget::view(int64_t now_ns) {
  advance(now_ns);
  return {static_cast<double>(sum()) / static_cast<double>(kToken), requests_, retries_, refused_};
}

}  // namespace weir::gateway
