// Which limits a request is subject to. Pure; values; const members from any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/state/quota.h"

namespace weir::gateway {

// tenant, key and model each say whose requests are counted: "" those of all together, "*" those of
// each on its own, anything else those of that one alone.
struct QuotaRule {
  std::string name;  // part of the counter: under another name counting begins anew
  std::string tenant, key, model;
  QuotaMetric metric = QuotaMetric::kRequests;
  QuotaWindow window = QuotaWindow::kMinute;
  int64_t limit = 0;  // tokens, requests or nanos
};

class QuotaRules {
 public:
  static constexpr size_t kMaxRules = 1000;

  QuotaRules() = default;
  // Rules of the same name, metric and window are alternatives, of which the first that matches
  // counts: the one for "acme" stands before the one for "*". Errors, "quotas[2].limit: ...":
  // kInvalidValue for an empty or over-long name and a limit beyond 0 to kMaxQuota; kLimit beyond
  // kMaxRules.
  static Result<QuotaRules> make(std::vector<QuotaRule> rules);

  // Of a request, in the order of the rules, kMaxQuotaLimits at most (more cannot be made: see
  // make). key: its id, never the key itself.
  std::vector<QuotaLimit> limits_of(std::string_view tenant, std::string_view key,
                                    std::string_view model) const;
  const std::vector<QuotaRule>& all() const { return rules_; }

 private:
  std::vector<QuotaRule> rules_;
  std::vector<size_t> families_;  // of each rule: alternatives have the same
  size_t family_count_ = 0;       // at most kMaxQuotaLimits
};

}  // namespace weir::gateway
