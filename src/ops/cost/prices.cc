#include "ops/cost/prices.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "config/key.h"
#include "ops/data/embedded.h"
#include "ops/sources/days.h"

namespace weir::ops {
namespace {

using config::Member;
using config::Node;

constexpr std::string_view kFile = "data/prices.yaml";
constexpr double kMost = 1e6;
const std::vector<std::string> kTop = {"version", "checked", "apis", "rentals"};
const std::vector<std::string> kApi = {"id",           "provider",       "input",
                                       "cached_input", "cache_write",    "output",
                                       "cache_ttl_s",  "batch_discount", "batch_hours",
                                       "batch_stacks", "source",         "cache_minimum_tokens",
                                       "date",         "verified",       "note"};
const std::vector<std::string> kRental = {"accelerator", "spot",     "usd_per_hour", "source",
                                          "date",        "verified", "note"};

class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  Error at(int line, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, line, what);
  }
  Status keys(const Node& node, const std::vector<std::string>& known) const {
    if (node.kind != Node::Kind::kMap) return at(node.line, "must be a map");
    for (const Member& m : node.members) {
      if (std::find(known.begin(), known.end(), m.key) == known.end())
        return at(m.line, fmt::format("unknown key \"{}\"; the nearest is \"{}\"", m.key,
                                      config::nearest(m.key, known)));
    }
    return {};
  }
  Result<std::string> text(const Node& node, std::string_view key) const {
    const Node* v = node.find(key);
    if (v == nullptr) return at(node.line, fmt::format("{} is missing", key));
    if (v->kind != Node::Kind::kScalar || v->text.empty())
      return at(v->line, fmt::format("{} must be a text", key));
    return v->text;
  }
  Result<std::string> day(const Node& node, std::string_view key) const {
    WEIR_ASSIGN(const std::string value, text(node, key));
    if (day_number(value)) return value;
    return at(node.find(key)->line,
              fmt::format("{} must be a day (YYYY-MM-DD), not \"{}\"", key, value));
  }
  Result<bool> flag(const Node& node, std::string_view key, bool fallback) const {
    const Node* v = node.find(key);
    if (v == nullptr) return fallback;
    if (v->text != "true" && v->text != "false")
      return at(v->line, fmt::format("{} must be true or false", key));
    return v->text == "true";
  }
  Result<double> number(const Node& node, std::string_view key, double most) const {
    double value = NAN;
    const char* end = node.text.data() + node.text.size();
    const bool whole = node.kind == Node::Kind::kScalar && !node.text.empty() &&
                       std::from_chars(node.text.data(), end, value).ptr == end;
    if (!whole || !(value >= 0 && value <= most)) {
      return at(node.line,
                fmt::format("{} must be a number from 0 to {}, not \"{}\"", key, most, node.text));
    }
    return value;
  }
  Result<double> number_or(const Node& node, std::string_view key, double most) const {
    const Node* v = node.find(key);
    return v == nullptr ? Result<double>(0.0) : number(*v, key, most);
  }
  Result<PriceRange> range(const Node& node, std::string_view key) const {
    const Node* v = node.find(key);
    if (v == nullptr) return at(node.line, fmt::format("{} is missing", key));
    PriceRange r;
    if (v->kind != Node::Kind::kList) {
      WEIR_ASSIGN(r.low, number(*v, key, kMost));
      r.high = r.low;
      return r;
    }
    if (v->items.size() != 2)
      return at(v->line, fmt::format("{} must be a number or [low, high]", key));
    WEIR_ASSIGN(r.low, number(v->items[0], key, kMost));
    WEIR_ASSIGN(r.high, number(v->items[1], key, kMost));
    if (r.high < r.low) return at(v->line, fmt::format("{}: {} is below {}", key, r.high, r.low));
    return r;
  }
  Result<PriceOrigin> origin(const Node& node) const {
    PriceOrigin o;
    WEIR_ASSIGN(o.source, text(node, "source"));
    WEIR_ASSIGN(o.date, day(node, "date"));
    WEIR_ASSIGN(o.verified, flag(node, "verified", false));
    if (node.find("note") != nullptr) {
      WEIR_ASSIGN(o.note, text(node, "note"));
    }
    return o;
  }

  Result<ApiPrice> api(const Node& node) const {
    WEIR_TRY(keys(node, kApi));
    ApiPrice p;
    WEIR_ASSIGN(p.id, text(node, "id"));
    WEIR_ASSIGN(p.provider, text(node, "provider"));
    WEIR_ASSIGN(p.input, range(node, "input"));
    WEIR_ASSIGN(p.output, range(node, "output"));
    p.cached_input = p.cache_write = p.input;
    p.caches = node.find("cached_input") != nullptr;
    if (p.caches) {
      WEIR_ASSIGN(p.cached_input, range(node, "cached_input"));
    }
    if (node.find("cache_write") != nullptr) {
      WEIR_ASSIGN(p.cache_write, range(node, "cache_write"));
    }
    WEIR_ASSIGN(p.cache_ttl_s, number_or(node, "cache_ttl_s", 1e9));
    WEIR_ASSIGN(p.cache_minimum_tokens, number_or(node, "cache_minimum_tokens", 1e9));
    WEIR_ASSIGN(p.batch_discount, number_or(node, "batch_discount", 1));
    WEIR_ASSIGN(p.batch_hours, number_or(node, "batch_hours", 1e4));
    WEIR_ASSIGN(p.batch_stacks, flag(node, "batch_stacks", true));
    WEIR_ASSIGN(p.origin, origin(node));
    return p;
  }

  Result<RentalPrice> rental(const Node& node) const {
    WEIR_TRY(keys(node, kRental));
    RentalPrice p;
    WEIR_ASSIGN(p.accelerator, text(node, "accelerator"));
    WEIR_ASSIGN(p.spot, flag(node, "spot", false));
    WEIR_ASSIGN(p.usd_per_hour, range(node, "usd_per_hour"));
    WEIR_ASSIGN(p.origin, origin(node));
    return p;
  }

 private:
  std::string_view name_;
};

}  // namespace

const ApiPrice* Prices::api(std::string_view id) const {
  const auto it =
      std::find_if(apis.begin(), apis.end(), [&](const ApiPrice& p) { return p.id == id; });
  return it == apis.end() ? nullptr : &*it;
}

const RentalPrice* Prices::rental(std::string_view accelerator, bool spot) const {
  const auto it = std::find_if(rentals.begin(), rentals.end(), [&](const RentalPrice& p) {
    return p.accelerator == accelerator && p.spot == spot;
  });
  return it == rentals.end() ? nullptr : &*it;
}

Result<Prices> parse_prices(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const Node root, config::parse_yaml(text, name));
  const Reader reader(name);
  WEIR_TRY(reader.keys(root, kTop));
  Prices out;
  WEIR_ASSIGN(const std::string version, reader.text(root, "version"));
  if (version != "1") return reader.at(root.line, "version must be 1");
  WEIR_ASSIGN(out.checked, reader.day(root, "checked"));
  static const Node kNone;
  const Node* apis = root.find("apis");
  for (const Node& node : (apis == nullptr ? kNone : *apis).items) {
    WEIR_ASSIGN(ApiPrice price, reader.api(node));
    if (out.api(price.id) != nullptr) return reader.at(node.line, price.id + " stands twice");
    out.apis.push_back(std::move(price));
  }
  const Node* rentals = root.find("rentals");
  for (const Node& node : (rentals == nullptr ? kNone : *rentals).items) {
    WEIR_ASSIGN(RentalPrice price, reader.rental(node));
    if (out.rental(price.accelerator, price.spot) != nullptr)
      return reader.at(node.line, price.accelerator + " stands twice");
    out.rentals.push_back(std::move(price));
  }
  return out;
}

Result<Prices> built_in_prices() { return parse_prices(embedded_file(kFile), kFile); }

}  // namespace weir::ops
