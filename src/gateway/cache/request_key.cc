#include "gateway/cache/request_key.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace weir::gateway {
namespace {

using text::Json;

// Beyond this a double does not hold every integer.
constexpr double kExactIntegers = 9007199254740992.0;

// One spelling for each number: 0, 0.0, -0.0 and 0e3 are the same.
Json canonical(const Json& value) {
  if (value.is_double()) {
    const double v = value.as_double();
    const bool whole = std::abs(v) < kExactIntegers && v == std::floor(v);
    return whole ? Json(static_cast<int64_t>(v)) : value;
  }
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& item : value.items()) out.push_back(canonical(item));
    return out;
  }
  if (value.is_object()) {
    Json out = Json::object();
    for (const auto& [key, member] : value.members())
      out.members().emplace_back(key, canonical(member));
    return out;
  }
  return value;
}

}  // namespace

bool is_answer_neutral(std::string_view field) {
  static constexpr std::array<std::string_view, 11> kNeutral = {"metadata",
                                                                "priority",
                                                                "prompt_cache_key",
                                                                "prompt_cache_retention",
                                                                "request_id",
                                                                "safety_identifier",
                                                                "service_tier",
                                                                "store",
                                                                "stream",
                                                                "stream_options",
                                                                "user"};
  return std::binary_search(kNeutral.begin(), kNeutral.end(), field);
}

std::string canonical_request(const Json& request) {
  Json kept = Json::object();
  for (const auto& [key, value] : request.members()) {
    if (!value.is_null() && !is_answer_neutral(key))
      kept.members().emplace_back(key, canonical(value));
  }
  text::JsonDump sorted;
  sorted.sort_keys = true;
  return kept.dump(sorted);
}

namespace {

// Each counts with its length.
Hash128 hash_parts(const HashKey& secret, std::initializer_list<std::string_view> parts) {
  std::string all;
  size_t bytes = 0;
  for (const std::string_view part : parts) bytes += part.size() + sizeof(uint64_t);
  all.reserve(bytes);
  for (const std::string_view part : parts) {
    const uint64_t size = part.size();
    all.append(reinterpret_cast<const char*>(&size), sizeof size);
    all += part;
  }
  return keyed_hash(secret, std::as_bytes(std::span(all.data(), all.size())));
}

}  // namespace

size_t CacheScope::bytes() const {
  return tenant.size() + route.size() + model.size() + release.size() + chosen.size() +
         settings.size() + anthropic_version.size() + anthropic_beta.size();
}

Hash128 scope_key(const HashKey& secret, const CacheScope& s, std::string_view question) {
  return hash_parts(secret, {s.tenant, s.route, s.model, s.release, s.chosen, s.settings,
                             s.anthropic_version, s.anthropic_beta, question});
}

Hash128 request_key(const HashKey& secret, const CacheScope& scope, const Json& request) {
  return scope_key(secret, scope, canonical_request(request));
}

Result<CacheWish> parse_cache_wish(std::string_view value) {
  if (value.empty()) return CacheWish::kDefault;
  if (value == "on") return CacheWish::kOn;
  if (value == "off") return CacheWish::kOff;
  if (value == "refresh") return CacheWish::kRefresh;
  return make_error(ErrorCode::kInvalidValue, "the header {} is on, off or refresh",
                    kCacheWishField);
}

bool may_cache(const Json& request, CacheWish wish, bool always) {
  if (wish == CacheWish::kOff) return false;
  if (wish != CacheWish::kDefault || always) return true;
  const Json* temperature = request.find("temperature");
  return temperature != nullptr && temperature->is_number() && temperature->as_double() == 0;
}

}  // namespace weir::gateway
