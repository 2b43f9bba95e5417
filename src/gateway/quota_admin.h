// What operators ask of quotas on the admin listener:
//
//   GET /admin/quotas?tenant=NAME   {"currency": "USD", "quotas": [{"quota": RULE, "counts": whose,
//                                   "metric": m, "window": w, "limit": n, "used": n}], "more":
//                                   bool}
//
// Money is in units of the currency. Without a tenant: those of every tenant.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "access/keys_file.h"
#include "base/result.h"
#include "gateway/config.h"
#include "gateway/state/quota.h"

namespace weir::gateway {

struct ShownQuotas {
  std::string currency;
  std::vector<QuotaLimit> limits;  // each counter once
  bool more = false;               // than kMaxShownQuotas
};
inline constexpr size_t kMaxShownQuotas = 1000;

// The limits of all pairs of keys and models of the tenant that the query names. Errors:
// kInvalidValue for another query, and for a tenant that keys does not have. Pure.
Result<ShownQuotas> shown_quotas(const GatewayConfig& config, const access::KeysFile& keys,
                                 std::string_view query);

// used: of each, as QuotaStore::read gives it. Error kServerOverloaded when it is empty. Pure.
Result<std::string> quotas_json(const ShownQuotas& shown, const std::vector<int64_t>& used);

}  // namespace weir::gateway
