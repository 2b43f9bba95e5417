// What tokens and devices cost: data/prices.yaml, whose head says what each figure means.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

// For how many days a price counts as today's.
inline constexpr int kPriceDays = 30;

struct PriceRange {
  double low = 0, high = 0;
  double middle() const { return (low + high) / 2; }
};

struct PriceOrigin {
  std::string source;  // an id of the ledger
  std::string date;    // a day
  bool verified = false;
  std::string note;
};

// USD per million tokens.
struct ApiPrice {
  std::string id, provider;
  PriceRange input, output;
  PriceRange cached_input, cache_write;  // as input where they are not told
  bool caches = false;                   // cached_input is told
  double cache_ttl_s = 0;                // 0: not told
  double cache_minimum_tokens = 0;
  double batch_discount = 0;  // of 1
  double batch_hours = 0;
  bool batch_stacks = true;
  PriceOrigin origin;
};

// USD per device and hour.
struct RentalPrice {
  std::string accelerator;  // an id of data/accelerators.yaml
  bool spot = false;
  PriceRange usd_per_hour;
  PriceOrigin origin;
};

struct Prices {
  std::string checked;  // a day
  std::vector<ApiPrice> apis;
  std::vector<RentalPrice> rentals;

  const ApiPrice* api(std::string_view id) const;
  const RentalPrice* rental(std::string_view accelerator, bool spot) const;
};

// name: of the file, for errors. Error kCorrupt: "NAME:LINE: ..." for unknown and missing keys, a
// price that is no number from 0 to 1,000,000, a range that ends below its begin, a date that is
// none, an id that stands twice.
Result<Prices> parse_prices(std::string_view text, std::string_view name);
// What the program carries. A test holds that it parses and that its sources and accelerators
// exist.
Result<Prices> built_in_prices();

}  // namespace weir::ops
