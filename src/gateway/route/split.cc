#include "gateway/route/split.h"

#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "gateway/route/mix.h"
#include "text/json.h"

namespace weir::gateway {

namespace {

constexpr std::array<std::string_view, 4> kNames = {"user", "session", "tenant", "request"};

Hash128 hash_of(const HashKey& key, std::string_view s) {
  return keyed_hash(key, std::as_bytes(std::span(s)));
}

Error arm_error(const SplitConfig& config, size_t arm, std::string_view what) {
  return param_error(ErrorCode::kInvalidValue, fmt::format("arms[{}]", arm), "experiment {}: {}",
                     config.experiment, what);
}

}  // namespace

std::string_view sticky_by_name(StickyBy by) { return kNames[static_cast<size_t>(by)]; }

Result<Split> Split::make(SplitConfig config) {
  if (config.experiment.empty())
    return param_error(ErrorCode::kInvalidValue, "experiment", "an experiment needs a name");
  if (config.arms.empty() || config.arms.size() > kMaxArms) {
    return param_error(ErrorCode::kInvalidValue, "arms", "experiment {}: {} arms; 1 to {} can be",
                       config.experiment, config.arms.size(), kMaxArms);
  }
  std::set<std::string_view> names;
  int sum = 0;
  for (size_t i = 0; i < config.arms.size(); ++i) {
    const SplitArm& arm = config.arms[i];
    if (arm.name.empty() || arm.target.empty())
      return arm_error(config, i, "an arm needs a name and a target");
    if (!names.insert(arm.name).second)
      return arm_error(config, i, fmt::format("arm {} stands twice", arm.name));
    if (arm.percent < 0 || arm.percent > 100)
      return arm_error(config, i, fmt::format("{} % is not from 0 to 100", arm.percent));
    sum += arm.percent;
  }
  if (sum != 100) {
    return param_error(ErrorCode::kInvalidValue, "arms",
                       "experiment {}: the arms have {} % together, not 100", config.experiment,
                       sum);
  }
  return Split(std::move(config));
}

Split::Split(SplitConfig config) : config_(std::move(config)) {
  const Hash128 h = hash_of({}, config_.experiment);
  key_ = {h.low, h.high};
  for (const SplitArm& arm : config_.arms) arm_ids_.push_back(hash_of(key_, arm.name).low);
}

Assignment Split::assign(const RequestView& request, uint64_t draw) const {
  Assignment out;
  const std::array<std::string_view, 3> fields = {request.user, request.session, request.tenant};
  auto by = static_cast<size_t>(config_.sticky);
  while (by < fields.size() && fields[by].empty()) ++by;
  out.by = static_cast<StickyBy>(by);
  if (by < fields.size()) {
    // A user is one of a tenant: those of two tenants have nothing but a name in common.
    const Hash128 tenant = hash_of(key_, request.tenant);
    out.subject = hash_of({tenant.low + by, tenant.high}, fields[by]).low;
  } else {
    out.subject = mix64(draw);
  }
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < arm_ids_.size(); ++i) {
    const double u = unit_of(mix64(out.subject ^ arm_ids_[i]));
    const double cost = -std::log(u) / config_.arms[i].percent;  // of 0 %: infinite
    if (cost >= least) continue;
    least = cost;
    out.arm = i;
  }
  return out;
}

Exposure Split::exposure(const Assignment& assignment, const RequestView& request,
                         std::string_view request_id) const {
  const SplitArm& arm = config_.arms[assignment.arm];
  return {.unix_ms = request.unix_s * 1000,
          .request_id = request_id,
          .experiment = config_.experiment,
          .arm = arm.name,
          .percent = arm.percent,
          .by = assignment.by,
          .subject = assignment.subject,
          .tenant = request.tenant,
          .model = request.model,
          .target = arm.target};
}

std::string exposure_json(const Exposure& e) {
  text::Json o = text::Json::object();
  o.set("unix_ms", e.unix_ms);
  o.set("request_id", e.request_id);
  o.set("experiment", e.experiment);
  o.set("arm", e.arm);
  o.set("percent", e.percent);
  o.set("by", sticky_by_name(e.by));
  o.set("subject", fmt::format("{:016x}", e.subject));
  o.set("tenant", e.tenant);
  o.set("model", e.model);
  o.set("target", e.target);
  return o.dump();
}

}  // namespace weir::gateway
