#include "gateway/state/quota_rules.h"

#include <algorithm>

namespace weir::gateway {
namespace {

constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxSubjectBytes = 256;  // longer ones are cut, which counts them together

bool matches(const std::string& wanted, std::string_view value) {
  return wanted.empty() || wanted == "*" || wanted == value;
}

bool alternatives(const QuotaRule& a, const QuotaRule& b) {
  return a.name == b.name && a.metric == b.metric && a.window == b.window;
}

// "acme", or "" where the rule counts all together.
std::string_view subject(const std::string& wanted, std::string_view value) {
  return wanted.empty() ? std::string_view() : value.substr(0, kMaxSubjectBytes);
}

QuotaLimit limit_of(const QuotaRule& rule, std::string_view tenant, std::string_view key,
                    std::string_view model) {
  QuotaLimit out;
  out.metric = rule.metric;
  out.window = rule.window;
  out.limit = rule.limit;
  out.rule = rule.name;
  const std::string_view subjects[] = {subject(rule.tenant, tenant), subject(rule.key, key),
                                       subject(rule.model, model)};
  // Lengths keep what stands side by side apart, whatever bytes it holds.
  out.counter = fmt::format("{}:{}.{}.{}", rule.name.size(), rule.name,
                            static_cast<int>(rule.metric), static_cast<int>(rule.window));
  out.name = rule.name;
  static constexpr std::string_view kKinds[] = {"tenant", "key", "model"};
  for (size_t i = 0; i < std::size(subjects); ++i) {
    out.counter += fmt::format(".{}:{}", subjects[i].size(), subjects[i]);
    if (!subjects[i].empty()) out.name += fmt::format(", {} {}", kKinds[i], subjects[i]);
  }
  out.name +=
      fmt::format(": {} per {}", quota_metric_name(rule.metric), quota_window_name(rule.window));
  return out;
}

}  // namespace

Result<QuotaRules> QuotaRules::make(std::vector<QuotaRule> rules) {
  if (rules.size() > kMaxRules)
    return make_error(ErrorCode::kLimit, "quotas: more than {}", kMaxRules);
  QuotaRules out;
  out.families_.reserve(rules.size());
  for (size_t i = 0; i < rules.size(); ++i) {
    const QuotaRule& r = rules[i];
    if (r.name.empty() || r.name.size() > kMaxNameBytes) {
      return param_error(ErrorCode::kInvalidValue, fmt::format("quotas[{}].name", i),
                         "quotas[{}].name: must have 1 to {} bytes", i, kMaxNameBytes);
    }
    if (r.limit < 0 || r.limit > kMaxQuota) {
      return param_error(ErrorCode::kInvalidValue, fmt::format("quotas[{}].limit", i),
                         "quotas[{}].limit: must be from 0 to {}", i, kMaxQuota);
    }
    const auto before = std::find_if(rules.begin(), rules.begin() + static_cast<std::ptrdiff_t>(i),
                                     [&](const QuotaRule& o) { return alternatives(o, r); });
    const auto place = static_cast<size_t>(before - rules.begin());
    out.families_.push_back(place < i ? out.families_[place] : out.family_count_++);
  }
  if (out.family_count_ > kMaxQuotaLimits) {
    return make_error(ErrorCode::kLimit,
                      "quotas: {} different ones (by name, metric and window); one request may be "
                      "subject to {}",
                      out.family_count_, kMaxQuotaLimits);
  }
  out.rules_ = std::move(rules);
  return out;
}

std::vector<QuotaLimit> QuotaRules::limits_of(std::string_view tenant, std::string_view key,
                                              std::string_view model) const {
  std::vector<QuotaLimit> out;
  std::array<bool, kMaxQuotaLimits> taken{};
  for (size_t i = 0; i < rules_.size(); ++i) {
    const QuotaRule& r = rules_[i];
    if (taken[families_[i]] || !matches(r.tenant, tenant) || !matches(r.key, key) ||
        !matches(r.model, model))
      continue;
    taken[families_[i]] = true;
    out.push_back(limit_of(r, tenant, key, model));
  }
  return out;
}

}  // namespace weir::gateway
