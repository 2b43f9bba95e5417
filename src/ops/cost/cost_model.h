// What serving costs, by arithmetic alone: no files, no clock. USD; prices of tokens are per
// million.
//
//   prompt   P = system + history + retrieval + question
//   prefix   C = system + history, which repeat; where neither is told, the whole prompt
//   request  (P - C) x input + C x (h x cached + (1 - h) x write) + output x price, with h > 0;
//            P x input + output x price, without caching
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

inline constexpr double kDaysPerMonth = 365.25 / 12;
inline constexpr double kHoursPerMonth = kDaysPerMonth * 24;

struct CostInputs {
  // Tokens of a request.
  double system_tokens = 0, history_tokens = 0, retrieval_tokens = 0, question_tokens = 0;
  double output_tokens = 0;
  double requests_per_day = 0;
  double cache_hit_rate = 0;  // h: of the prefix's tokens those that are read from the cache
  double batch_share = 0;     // of requests that can wait
  double accept_rate = 1;     // of answers those that are of use
  // Hosted, per million tokens.
  double input_usd = 0, cached_usd = 0, write_usd = 0, output_usd = 0;
  double batch_discount = 0;  // of 1
  bool batch_stacks = true;   // whether it adds up with the cache's; else batch is costed at h = 0
  // A smaller model that is asked first; its answers are checked for check_usd and escalated.
  double small_input_usd = 0, small_cached_usd = 0, small_write_usd = 0, small_output_usd = 0;
  double check_usd = 0, escalation_share = 0;
  // One's own machines.
  double replicas = 0, devices = 0;  // devices of a replica
  double device_usd_per_hour = 0;
  double replica_requests_per_s = 0;  // that a replica carries within the SLO
  double overhead_usd_per_month = 0;  // people, storage, network
  double redo_share = 0;              // of work that is done twice: interruptions

  double prompt_tokens() const {
    return system_tokens + history_tokens + retrieval_tokens + question_tokens;
  }
  double prefix_tokens() const {
    return system_tokens + history_tokens > 0 ? system_tokens + history_tokens : prompt_tokens();
  }
};

// Name, range and unit of each input: flags, messages and the sensitivity come from here.
struct CostInput {
  std::string_view name;  // "cache-hit-rate": the flag without its hyphens
  double CostInputs::*member = nullptr;
  double max = 0;  // from 0 on
  std::string_view unit;
  std::string_view help;
};
std::span<const CostInput> cost_inputs();
const CostInput* find_cost_input(std::string_view name);

// Error kUsage: the first input that is negative, no number or above its range, by its flag.
Status check_inputs(const CostInputs& in);

// One token price list: of the large or the small model.
struct TokenPrices {
  double input = 0, cached = 0, write = 0, output = 0;
};
TokenPrices large_prices(const CostInputs& in);
TokenPrices small_prices(const CostInputs& in);

// A request, USD; hit_rate 0: without caching.
double request_usd(const CostInputs& in, const TokenPrices& p, double hit_rate);
// The same through the tiers, where there is a small model.
double tiered_usd(const CostInputs& in, double hit_rate);
// What a request costs on average through tiers and batch, of all that are answered.
double hosted_usd(const CostInputs& in);
// A request on one's own machines at the load of requests_per_day, whoever is idle paid for.
double self_hosted_usd(const CostInputs& in);
// Of all hours what the fleet costs, overhead included.
double fleet_usd_per_month(const CostInputs& in);
// Share of what the fleet carries that requests_per_day needs; redone work counts.
double utilisation(const CostInputs& in);

// Each nothing where there is no root in its range.
// h at which caching costs what no caching does: (write - input) / (write - cached).
std::optional<double> break_even_hit_rate(const TokenPrices& p);
// Reads of an entry for each time it is written: (write - input) / (input - cached).
std::optional<double> break_even_reads(const TokenPrices& p);
// Requests an hour with the same prefix from which on an entry of ttl_s lives long enough, for
// Poisson arrivals (h = 1 - exp(-rate x ttl)): -ln(1 - h) / ttl x 3600.
std::optional<double> break_even_requests_per_hour(const TokenPrices& p, double ttl_s);
// Share of escalations at which small first costs what large alone does: 1 - (small + check) /
// large.
std::optional<double> break_even_escalation(const CostInputs& in);
// h at which interactive with a cache costs what batch without one does (discounts that do not add
// up).
std::optional<double> break_even_hit_rate_of_batch(const CostInputs& in);
// Utilisation of the fleet from which on it is cheaper than hosted: fleet / (hosted x what it
// carries).
std::optional<double> break_even_utilisation(const CostInputs& in);
// Requests a day at which the fleet costs what hosted does: fleet / hosted a request. May be beyond
// what the fleet carries.
std::optional<double> break_even_requests_per_day(const CostInputs& in);

// Which cost a sensitivity is of, for each accepted answer.
enum class CostMode : uint8_t { kHosted, kSelfHosted };
double accepted_usd(const CostInputs& in, CostMode mode);

// Range of an input; without one it moves by 20 % each way, within its range.
struct InputRange {
  std::string_view name;
  double low = 0, high = 0;
};
struct Swing {
  const CostInput* input = nullptr;
  double low = 0, high = 0;          // of the input
  double usd_low = 0, usd_high = 0;  // at these
  bool stated = false;               // the range was told, not taken as 20 %
};
// Inputs that move the cost, the widest first; ties in the table's order.
std::vector<Swing> sensitivity(const CostInputs& in, CostMode mode,
                               std::span<const InputRange> ranges);

}  // namespace weir::ops
