// What tokens of upstream models cost, and what a request came to. Money is whole nano-units of one
// currency (1e-9 USD): sums are exact, whatever their order. Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::gateway {

inline constexpr int64_t kNanosPerUnit = 1'000'000'000;
inline constexpr int64_t kTokensPerPrice = 1'000'000;  // prices are of a million tokens
inline constexpr int64_t kMaxPriceNanos = 1'000'000 * kNanosPerUnit;
// Beyond it a count is taken as this many: no request has as many tokens, and sums stay far below
// 2^63.
inline constexpr int64_t kMaxTokenCount = 1'000'000'000;

// "2.50" as nanos: digits, and at most nine after the point. Errors: kInvalidValue for anything
// else, a sign and an exponent included, and above 1,000,000.
Result<int64_t> parse_money(std::string_view decimal);
// "2.5", "0.000000001", "-3": without zeros at the end.
std::string money_text(int64_t nanos);
// For JSON and plots, where 53 bits suffice.
double money_number(int64_t nanos);

// What an upstream says that it has computed.
struct TokenCounts {
  int64_t input = 0;         // all of the prompt, the next two included
  int64_t cached_input = 0;  // read from the upstream's cache
  int64_t cache_write = 0;   // written to it
  int64_t output = 0;        // reasoning included
};

// Nanos of a million tokens.
struct ModelPrice {
  std::string upstream;  // whose price it is, as the config names it; empty: any upstream's
  std::string model;     // as the upstream calls it
  int64_t input = 0;
  std::optional<int64_t> cached_input, cache_write;  // as input where they are not told
  int64_t output = 0;
  std::string currency = "USD";
  std::string source;     // an address; empty: one's own
  std::string date;       // the day it was read, "2026-11-30"
  std::string review_by;  // a day; empty: kPriceReviewDays after `date`
};
inline constexpr int32_t kPriceReviewDays = 30;

// What requests are billed by. Values; const members from any thread.
class PriceTable {
 public:
  static constexpr size_t kMaxPrices = 10'000;

  PriceTable() = default;
  // Errors kInvalidValue, "prices[3].date: ...": a price beyond 0 to 1,000,000, no model, one that
  // stands twice, a date that is none, a review before the date, currencies that differ (their sum
  // means nothing). kLimit beyond kMaxPrices.
  static Result<PriceTable> make(std::vector<ModelPrice> prices);

  // Of this upstream, else of any; nullptr where none is known.
  const ModelPrice* find(std::string_view upstream, std::string_view model) const;
  const std::vector<ModelPrice>& all() const { return prices_; }
  const std::string& currency() const { return currency_; }  // "USD" of an empty table

 private:
  const ModelPrice* find_exactly(std::string_view upstream, std::string_view model) const;

  std::vector<ModelPrice> prices_;
  using Models = std::map<std::string, size_t, std::less<>>;  // by name: their places in prices_
  std::map<std::string, Models, std::less<>> index_;          // by upstream
  std::string currency_ = "USD";
};

// Nanos, rounded up once over the sum: a budget never counts less than was billed, and at most one
// nano more. Counts below 0 are 0; parts of the input beyond the input are cut.
int64_t token_cost(const ModelPrice& price, const TokenCounts& tokens);

// How old a price is on a day (day_number_of()).
struct PriceAge {
  int32_t days = 0;  // since it was read; below 0: it is dated ahead
  bool stale = false;
  std::string review_by;
};
PriceAge price_age(const ModelPrice& price, int32_t today);

}  // namespace weir::gateway
