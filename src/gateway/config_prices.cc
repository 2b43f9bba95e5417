// The prices of gateway.yaml: of a million tokens, as decimals.
#include "gateway/config_keys.h"
#include "gateway/config_reader.h"

namespace weir::gateway {
namespace {

using config::Node;

struct RawPrice {
  ModelPrice price;
  std::string input, output, cached_input, cache_write;
};

config::Table<RawPrice> price_table() {
  config::Table<RawPrice> t;
  t.add("upstream", "", WEIR_FIELD(RawPrice, price.upstream), {});
  t.add("model", "", WEIR_FIELD(RawPrice, price.model), {});
  t.add("input", "", WEIR_FIELD(RawPrice, input), {});
  t.add("cached_input", "", WEIR_FIELD(RawPrice, cached_input), {});
  t.add("cache_write", "", WEIR_FIELD(RawPrice, cache_write), {});
  t.add("output", "", WEIR_FIELD(RawPrice, output), {});
  t.add("currency", "", WEIR_FIELD(RawPrice, price.currency), {});
  t.add("source", "", WEIR_FIELD(RawPrice, price.source), {});
  t.add("date", "", WEIR_FIELD(RawPrice, price.date), {});
  t.add("review_by", "", WEIR_FIELD(RawPrice, price.review_by), {});
  return t;
}

class PricesReader {
 public:
  PricesReader(const ConfigReader& reader, const GatewayConfig& config) : reader_(reader) {
    for (const UpstreamConfig& u : config.upstreams) upstreams_.push_back(u.name);
  }

  // Error: the last mistake of the list.
  Result<PriceTable> read(const Node& node) const {
    if (node.kind != Node::Kind::kList) return reader_.wrong(node.line, "prices must be a list");
    std::vector<ModelPrice> prices;
    Status good;
    for (const Node& item : node.items) {
      auto price = read_one(item);
      if (price.ok()) {
        prices.push_back(std::move(*price));
      } else {
        good = price.error();
      }
    }
    WEIR_TRY(good);
    auto made = PriceTable::make(std::move(prices));
    if (!made.ok()) return reader_.wrong(node.line, made.error().message);
    return made;
  }

 private:
  Result<ModelPrice> read_one(const Node& item) const {
    WEIR_ASSIGN(RawPrice raw, reader_.fields(table_, item));
    ModelPrice price = std::move(raw.price);
    const auto money = [&](const std::string& text, std::string_view what) -> Result<int64_t> {
      auto value = parse_money(text);
      if (!value.ok())
        return reader_.wrong(line_of(item, what),
                             fmt::format("{}: {}", what, value.error().message));
      return value;
    };
    WEIR_ASSIGN(price.input, money(raw.input, "input"));
    WEIR_ASSIGN(price.output, money(raw.output, "output"));
    if (!raw.cached_input.empty()) {
      WEIR_ASSIGN(price.cached_input, money(raw.cached_input, "cached_input"));
    }
    if (!raw.cache_write.empty()) {
      WEIR_ASSIGN(price.cache_write, money(raw.cache_write, "cache_write"));
    }
    WEIR_TRY(known_upstream(price.upstream, line_of(item, "upstream")));
    return price;
  }

  Status known_upstream(const std::string& given, int line) const {
    if (given.empty() || std::find(upstreams_.begin(), upstreams_.end(), given) != upstreams_.end())
      return {};
    return reader_.wrong(
        line, fmt::format("a price of upstream \"{}\", which is not under upstreams; the nearest "
                          "is \"{}\"",
                          given.substr(0, 100),
                          config::nearest(given, std::span<const std::string>(upstreams_))));
  }

  const ConfigReader& reader_;
  const config::Table<RawPrice> table_ = price_table();
  std::vector<std::string> upstreams_;
};

}  // namespace

void list_price_keys(FileKeys& out) { list_keys("prices[].", price_table().keys(), {}, out); }

void read_prices(const ConfigReader& reader, const Node& node, GatewayConfig& config) {
  auto prices = PricesReader(reader, config).read(node);
  if (!prices.ok()) return reader.set_broken("prices");
  config.prices = std::move(*prices);
  config.ledger.currency = config.prices.currency();
}

}  // namespace weir::gateway
