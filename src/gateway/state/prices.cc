#include "gateway/state/prices.h"

#include <algorithm>

#include "base/rng.h"
#include "gateway/state/calendar.h"

namespace weir::gateway {
namespace {

constexpr size_t kDecimals = 9;

Error wrong_money(std::string_view text) {
  return make_error(ErrorCode::kInvalidValue,
                    "\"{}\" is no amount of money: write digits, with at most nine after the "
                    "point, up to 1000000",
                    text.substr(0, 40));
}

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Error wrong(size_t i, std::string_view field, std::string what) {
  return param_error(ErrorCode::kInvalidValue, fmt::format("prices[{}].{}", i, field),
                     "prices[{}].{}: {}", i, field, std::move(what));
}

Status check_amount(size_t i, std::string_view field, int64_t nanos) {
  if (nanos >= 0 && nanos <= kMaxPriceNanos) return {};
  return wrong(i, field, "must be from 0 to 1000000");
}

Status check_price(size_t i, const ModelPrice& p) {
  if (p.model.empty()) return wrong(i, "model", "is empty");
  WEIR_TRY(check_amount(i, "input", p.input));
  WEIR_TRY(check_amount(i, "cached_input", p.cached_input.value_or(0)));
  WEIR_TRY(check_amount(i, "cache_write", p.cache_write.value_or(0)));
  WEIR_TRY(check_amount(i, "output", p.output));
  if (p.currency.size() != 3) return wrong(i, "currency", "must be three letters, such as USD");
  const auto date = day_number_of(p.date);
  if (!date) return wrong(i, "date", fmt::format("\"{}\" is no day such as 2026-11-30", p.date));
  if (p.review_by.empty()) return {};
  const auto review = day_number_of(p.review_by);
  if (!review || *review < *date)
    return wrong(i, "review_by", fmt::format("\"{}\" is no day from {} on", p.review_by, p.date));
  return {};
}

}  // namespace

Result<int64_t> parse_money(std::string_view decimal) {
  const size_t point = decimal.find('.');
  const std::string_view whole = decimal.substr(0, point);
  const std::string_view part =
      point == std::string_view::npos ? std::string_view() : decimal.substr(point + 1);
  if (whole.empty() || whole.size() > 7 || part.size() > kDecimals || !all_digits(whole) ||
      !all_digits(part) || (point != std::string_view::npos && part.empty()))
    return wrong_money(decimal);
  int64_t nanos = 0;
  for (const char c : whole) nanos = nanos * 10 + (c - '0');
  for (size_t i = 0; i < kDecimals; ++i) nanos = nanos * 10 + (i < part.size() ? part[i] - '0' : 0);
  if (nanos > kMaxPriceNanos) return wrong_money(decimal);
  return nanos;
}

std::string money_text(int64_t nanos) {
  // The smallest int64 has no positive counterpart.
  const uint64_t size =
      nanos < 0 ? ~static_cast<uint64_t>(nanos) + 1 : static_cast<uint64_t>(nanos);
  const uint64_t per_unit = kNanosPerUnit;
  std::string out =
      fmt::format("{}{}.{:09}", nanos < 0 ? "-" : "", size / per_unit, size % per_unit);
  out.erase(out.find_last_not_of('0') + 1);
  if (out.back() == '.') out.pop_back();
  return out;
}

double money_number(int64_t nanos) {
  return static_cast<double>(nanos) / static_cast<double>(kNanosPerUnit);
}

Result<PriceTable> PriceTable::make(std::vector<ModelPrice> prices) {
  if (prices.size() > kMaxPrices)
    return make_error(ErrorCode::kLimit, "prices: more than {}", kMaxPrices);
  PriceTable table;
  for (size_t i = 0; i < prices.size(); ++i) {
    const ModelPrice& p = prices[i];
    WEIR_TRY(check_price(i, p));
    if (p.currency != prices[0].currency) {
      return wrong(i, "currency",
                   fmt::format("{} beside {}: one table has one currency, since sums of two mean "
                               "nothing",
                               p.currency, prices[0].currency));
    }
    if (!table.index_[p.upstream].emplace(p.model, i).second)
      return wrong(i, "model",
                   fmt::format("{} of upstream \"{}\" stands twice", p.model, p.upstream));
  }
  if (!prices.empty()) table.currency_ = prices[0].currency;
  table.prices_ = std::move(prices);
  return table;
}

const ModelPrice* PriceTable::find_exactly(std::string_view upstream,
                                           std::string_view model) const {
  const auto models = index_.find(upstream);
  if (models == index_.end()) return nullptr;
  const auto at = models->second.find(model);
  return at == models->second.end() ? nullptr : &prices_[at->second];
}

const ModelPrice* PriceTable::find(std::string_view upstream, std::string_view model) const {
  const ModelPrice* own = find_exactly(upstream, model);
  return own != nullptr ? own : find_exactly("", model);
}

int64_t token_cost(const ModelPrice& price, const TokenCounts& tokens) {
  const auto count = [](int64_t n) { return std::clamp<int64_t>(n, 0, kMaxTokenCount); };
  const int64_t input = count(tokens.input);
  const int64_t cached = std::min(count(tokens.cached_input), input);
  const int64_t written = std::min(count(tokens.cache_write), input - cached);
  const auto part = [](int64_t n, int64_t nanos) {
    return static_cast<uint128>(n) *
           static_cast<uint128>(std::clamp<int64_t>(nanos, 0, kMaxPriceNanos));
  };
  const uint128 sum = part(input - cached - written, price.input) +
                      part(cached, price.cached_input.value_or(price.input)) +
                      part(written, price.cache_write.value_or(price.input)) +
                      part(count(tokens.output), price.output);
  return static_cast<int64_t>((sum + kTokensPerPrice - 1) / kTokensPerPrice);
}

PriceAge price_age(const ModelPrice& price, int32_t today) {
  const int32_t date = day_number_of(price.date).value_or(today);
  const int32_t review = day_number_of(price.review_by).value_or(date + kPriceReviewDays);
  return {today - date, today > review, day_text_of(review)};
}

}  // namespace weir::gateway
