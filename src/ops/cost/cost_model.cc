#include "ops/cost/cost_model.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace weir::ops {
namespace {

constexpr double kMillion = 1e6;
constexpr double kMaxTokens = 1e8, kMaxUsd = 1e6, kMaxCount = 1e6;
constexpr double kSwing = 0.2;

constexpr std::array kInputs = {
    CostInput{"system-tokens", &CostInputs::system_tokens, kMaxTokens, "tokens",
              "instructions and tools, the same in every request"},
    CostInput{"history-tokens", &CostInputs::history_tokens, kMaxTokens, "tokens",
              "earlier turns of the conversation"},
    CostInput{"retrieval-tokens", &CostInputs::retrieval_tokens, kMaxTokens, "tokens",
              "passages that were looked up"},
    CostInput{"question-tokens", &CostInputs::question_tokens, kMaxTokens, "tokens",
              "what is new in the prompt (default: the intake's prompt less the others)"},
    CostInput{"output-tokens", &CostInputs::output_tokens, kMaxTokens, "tokens", "of an answer"},
    CostInput{"requests-per-day", &CostInputs::requests_per_day, 1e12, "requests/day",
              "all of them (default: the intake's rate)"},
    CostInput{
        "cache-hit-rate", &CostInputs::cache_hit_rate, 1, "of 1",
        "of the prefix's tokens (system and history; else the prompt) those read from the cache"},
    CostInput{"batch-share", &CostInputs::batch_share, 1, "of 1",
              "of requests that can wait hours"},
    CostInput{"accept-rate", &CostInputs::accept_rate, 1, "of 1",
              "of answers those that are of use"},
    CostInput{"input-usd", &CostInputs::input_usd, kMaxUsd, "USD/million", "input tokens"},
    CostInput{"cached-usd", &CostInputs::cached_usd, kMaxUsd, "USD/million", "cached input tokens"},
    CostInput{"write-usd", &CostInputs::write_usd, kMaxUsd, "USD/million",
              "tokens written to the cache"},
    CostInput{"output-usd", &CostInputs::output_usd, kMaxUsd, "USD/million", "output tokens"},
    CostInput{"batch-discount", &CostInputs::batch_discount, 1, "of 1", "off what can wait"},
    CostInput{"small-input-usd", &CostInputs::small_input_usd, kMaxUsd, "USD/million",
              "input tokens of the small model"},
    CostInput{"small-cached-usd", &CostInputs::small_cached_usd, kMaxUsd, "USD/million",
              "cached input tokens of the small model"},
    CostInput{"small-write-usd", &CostInputs::small_write_usd, kMaxUsd, "USD/million",
              "tokens written to the small model's cache"},
    CostInput{"small-output-usd", &CostInputs::small_output_usd, kMaxUsd, "USD/million",
              "output tokens of the small model"},
    CostInput{"check-usd", &CostInputs::check_usd, kMaxUsd, "USD/request",
              "judging whether the small model's answer does"},
    CostInput{"escalation-share", &CostInputs::escalation_share, 1, "of 1",
              "of requests that the large model answers after the small one"},
    CostInput{"replicas", &CostInputs::replicas, kMaxCount, "replicas",
              "that run, spare ones included"},
    CostInput{"devices", &CostInputs::devices, kMaxCount, "devices", "of a replica"},
    CostInput{"device-usd-per-hour", &CostInputs::device_usd_per_hour, kMaxUsd, "USD/hour",
              "rent of a device"},
    CostInput{"replica-requests-per-s", &CostInputs::replica_requests_per_s, 1e9, "requests/s",
              "that a replica carries within the SLO"},
    CostInput{"overhead-usd-per-month", &CostInputs::overhead_usd_per_month, 1e12, "USD/month",
              "of one's own service: people, storage, network"},
    CostInput{"redo-share", &CostInputs::redo_share, 10, "of 1",
              "of work that is done twice, as after interruptions"},
};

std::optional<double> within(double value, double high) {
  if (std::isfinite(value) && value >= 0 && value <= high) return value;
  return std::nullopt;
}

}  // namespace

std::span<const CostInput> cost_inputs() { return kInputs; }

const CostInput* find_cost_input(std::string_view name) {
  const auto* it = std::find_if(kInputs.begin(), kInputs.end(),
                                [&](const CostInput& i) { return i.name == name; });
  return it == kInputs.end() ? nullptr : it;
}

Status check_inputs(const CostInputs& in) {
  for (const CostInput& i : kInputs) {
    const double value = in.*(i.member);
    if (value >= 0 && value <= i.max) continue;
    return make_error(ErrorCode::kUsage, "--{}: must be a number from 0 to {} {}, not {}", i.name,
                      i.max, i.unit, value);
  }
  return {};
}

TokenPrices large_prices(const CostInputs& in) {
  return {in.input_usd, in.cached_usd, in.write_usd, in.output_usd};
}

TokenPrices small_prices(const CostInputs& in) {
  return {in.small_input_usd, in.small_cached_usd, in.small_write_usd, in.small_output_usd};
}

double request_usd(const CostInputs& in, const TokenPrices& p, double hit_rate) {
  const double prompt = in.prompt_tokens(), prefix = in.prefix_tokens();
  const double prefix_price =
      hit_rate > 0 ? hit_rate * p.cached + (1 - hit_rate) * p.write : p.input;
  return ((prompt - prefix) * p.input + prefix * prefix_price + in.output_tokens * p.output) /
         kMillion;
}

double tiered_usd(const CostInputs& in, double hit_rate) {
  const double large = request_usd(in, large_prices(in), hit_rate);
  if (!(in.small_input_usd > 0 || in.small_output_usd > 0)) return large;
  return request_usd(in, small_prices(in), hit_rate) + in.check_usd + in.escalation_share * large;
}

double hosted_usd(const CostInputs& in) {
  const double batch = tiered_usd(in, in.batch_stacks ? in.cache_hit_rate : 0);
  return (1 - in.batch_share) * tiered_usd(in, in.cache_hit_rate) +
         in.batch_share * (1 - in.batch_discount) * batch;
}

double fleet_usd_per_month(const CostInputs& in) {
  return in.replicas * in.devices * in.device_usd_per_hour * kHoursPerMonth +
         in.overhead_usd_per_month;
}

double self_hosted_usd(const CostInputs& in) {
  return fleet_usd_per_month(in) / (in.requests_per_day * kDaysPerMonth);
}

double utilisation(const CostInputs& in) {
  return in.requests_per_day * (1 + in.redo_share) /
         (in.replicas * in.replica_requests_per_s * 86'400);
}

std::optional<double> break_even_hit_rate(const TokenPrices& p) {
  if (p.cached >= p.input) return std::nullopt;  // nothing is saved by any hit
  return within((p.write - p.input) / (p.write - p.cached), 1);
}

std::optional<double> break_even_reads(const TokenPrices& p) {
  if (p.cached >= p.input) return std::nullopt;
  return within((p.write - p.input) / (p.input - p.cached), std::numeric_limits<double>::max());
}

std::optional<double> break_even_requests_per_hour(const TokenPrices& p, double ttl_s) {
  const auto h = break_even_hit_rate(p);
  if (!h || *h >= 1 || !(ttl_s > 0)) return std::nullopt;
  return -std::log1p(-*h) / ttl_s * 3600;
}

std::optional<double> break_even_escalation(const CostInputs& in) {
  const double large = request_usd(in, large_prices(in), in.cache_hit_rate);
  const double small = request_usd(in, small_prices(in), in.cache_hit_rate) + in.check_usd;
  if (!(large > 0)) return std::nullopt;
  return within(1 - small / large, 1);
}

std::optional<double> break_even_hit_rate_of_batch(const CostInputs& in) {
  const TokenPrices p = large_prices(in);
  const double prefix = in.prefix_tokens();
  if (p.cached >= p.write || !(prefix > 0)) return std::nullopt;
  const double batch = (1 - in.batch_discount) * request_usd(in, p, 0) * kMillion;
  const double all_written =
      (in.prompt_tokens() - prefix) * p.input + prefix * p.write + in.output_tokens * p.output;
  return within((all_written - batch) / (prefix * (p.write - p.cached)), 1);
}

std::optional<double> break_even_utilisation(const CostInputs& in) {
  const double most = in.replicas * in.replica_requests_per_s * 86'400 * kDaysPerMonth;
  return within(fleet_usd_per_month(in) * (1 + in.redo_share) / (hosted_usd(in) * most), 1);
}

std::optional<double> break_even_requests_per_day(const CostInputs& in) {
  return within(fleet_usd_per_month(in) / (hosted_usd(in) * kDaysPerMonth),
                std::numeric_limits<double>::max());
}

double accepted_usd(const CostInputs& in, CostMode mode) {
  return (mode == CostMode::kHosted ? hosted_usd(in) : self_hosted_usd(in)) / in.accept_rate;
}

std::vector<Swing> sensitivity(const CostInputs& in, CostMode mode,
                               std::span<const InputRange> ranges) {
  std::vector<Swing> out;
  for (const CostInput& input : kInputs) {
    const double base = in.*(input.member);
    Swing s{&input, base * (1 - kSwing), std::min(base * (1 + kSwing), input.max), 0, 0, false};
    for (const InputRange& r : ranges) {
      if (r.name != input.name || !(r.low < r.high)) continue;
      s.low = r.low;
      s.high = r.high;
      s.stated = true;
    }
    CostInputs moved = in;
    moved.*(input.member) = s.low;
    s.usd_low = accepted_usd(moved, mode);
    moved.*(input.member) = s.high;
    s.usd_high = accepted_usd(moved, mode);
    const double base_usd = accepted_usd(in, mode);
    const bool moves = std::abs(s.usd_low - base_usd) > 1e-12 * base_usd ||
                       std::abs(s.usd_high - base_usd) > 1e-12 * base_usd;
    if (moves && std::isfinite(s.usd_low) && std::isfinite(s.usd_high)) out.push_back(s);
  }
  std::stable_sort(out.begin(), out.end(), [](const Swing& a, const Swing& b) {
    return std::abs(a.usd_high - a.usd_low) > std::abs(b.usd_high - b.usd_low);
  });
  return out;
}

}  // namespace weir::ops
