#include "gateway/quota_admin.h"

#include <algorithm>
#include <set>
#include <utility>

#include "gateway/config_quotas.h"
#include "http/message.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr std::string_view kTenant = "tenant=";

Json amount(const QuotaLimit& limit, int64_t value) {
  return limit.metric == QuotaMetric::kMoney ? Json(money_number(value)) : Json(value);
}

// The tenants to show; "" is nobody's, when nobody needs a key.
Result<std::vector<std::string>> tenants_of(const access::KeysFile& keys, std::string_view query) {
  std::vector<std::string> all;
  for (const access::TenantSpec& t : keys.tenants) all.push_back(t.name);
  if (all.empty()) all.emplace_back();
  if (query.empty()) return all;
  const auto name = query.starts_with(kTenant) ? http::percent_decode(query.substr(kTenant.size()))
                                               : std::nullopt;
  if (!name.has_value())
    return param_error(ErrorCode::kInvalidValue, "tenant", "the query must be tenant=NAME");
  if (std::find(all.begin(), all.end(), *name) == all.end())
    return param_error(ErrorCode::kInvalidValue, "tenant", "keys_file has no tenant \"{}\"",
                       name->substr(0, 100));
  return std::vector<std::string>{*name};
}

}  // namespace

Result<ShownQuotas> shown_quotas(const GatewayConfig& config, const access::KeysFile& keys,
                                 std::string_view query) {
  WEIR_ASSIGN(const std::vector<std::string> tenants, tenants_of(keys, query));
  ShownQuotas out;
  out.currency = config.prices.currency();
  std::set<std::string> seen;
  const auto add = [&](std::string_view tenant, std::string_view key) {
    for (const ModelConfig& m : config.models) {
      for (QuotaLimit& limit : config.quotas.rules.limits_of(tenant, key, m.name)) {
        if (!seen.insert(limit.counter).second) continue;
        if (out.limits.size() == kMaxShownQuotas) {
          out.more = true;
          return;
        }
        out.limits.push_back(std::move(limit));
      }
    }
  };
  for (const std::string& tenant : tenants) {
    if (tenant.empty()) add("", "");
    for (const access::KeyEntry& key : keys.keys)
      if (key.tenant == tenant && !out.more) add(tenant, key.id);
  }
  return out;
}

Result<std::string> quotas_json(const ShownQuotas& shown, const std::vector<int64_t>& used) {
  if (used.size() != shown.limits.size())
    return make_error(ErrorCode::kServerOverloaded, "the store of quotas does not answer");
  Json list = Json::array();
  for (size_t i = 0; i < used.size(); ++i) {
    const QuotaLimit& limit = shown.limits[i];
    Json one = Json::object();
    one.set("quota", limit.rule);
    one.set("counts", limit.name);
    one.set("metric", quota_metric_key(limit.metric));
    one.set("window", quota_window_name(limit.window));
    one.set("limit", amount(limit, limit.limit));
    one.set("used", amount(limit, used[i]));
    list.push_back(std::move(one));
  }
  Json body = Json::object();
  body.set("currency", shown.currency);
  body.set("quotas", std::move(list));
  body.set("more", shown.more);
  return body.dump();
}

}  // namespace weir::gateway
