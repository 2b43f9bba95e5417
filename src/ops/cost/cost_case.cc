#include "ops/cost/cost_case.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "config/key.h"
#include "ops/sources/days.h"

namespace weir::ops {
namespace {

constexpr double kSecondsPerDay = 86'400;

// Fills one case, step by step.
class Builder {
 public:
  Builder(const CostGiven& given, const Prices& prices, const Accelerators& accelerators, int today)
      : given_(given), prices_(prices), accelerators_(accelerators), today_(today) {}

  Status build() {
    for (const auto& [name, figure] : given_.figures) take_flag(name, figure);
    WEIR_TRY(tokens());
    load();
    WEIR_TRY(models());
    WEIR_TRY(fleet());
    outcomes();
    cache();
    out.limit_usd = intake("slo.cost_usd_per_request");
    out.hosted = out.has("input-usd") || out.has("output-usd");
    out.tiers = out.hosted && (out.has("small-input-usd") || out.has("small-output-usd"));
    out.self_hosted = out.in.replicas > 0 && out.in.devices > 0 && out.in.device_usd_per_hour > 0;
    if (out.tiers && !out.has("escalation-share")) {
      return make_error(
          ErrorCode::kUsage,
          "a small model needs --escalation-share: which share of its answers goes to "
          "the large one");
    }
    if (out.self_hosted && !(out.in.requests_per_day > 0)) {
      return make_error(ErrorCode::kUsage,
                        "one's own machines need the load: --requests-per-day, or "
                        "traffic.requests_per_s in the intake");
    }
    if (!(out.in.accept_rate > 0))
      return make_error(ErrorCode::kUsage, "--accept-rate: of 0 nothing is accepted at any cost");
    return check_inputs(out.in);
  }

  CostCase out;

 private:
  void set(std::string_view name, double value, std::string origin) {
    out.in.*(find_cost_input(name)->member) = value;
    out.origins.insert_or_assign(std::string(name), std::move(origin));
  }
  void range(std::string_view name, double low, double high) {
    if (low < high) out.ranges.push_back({find_cost_input(name)->name, low, high});
  }
  void take_flag(const std::string& name, const CostFigure& figure) {
    set(name, figure.value, "--" + name);
    if (figure.range) range(name, figure.range->first, figure.range->second);
  }
  // Unless a flag has said so.
  void set_range(std::string_view name, const PriceRange& r, const std::string& origin) {
    if (out.has(name)) return;
    set(name, r.middle(), origin);
    range(name, r.low, r.high);
  }

  std::optional<double> intake(std::string_view path) const {
    return given_.intake ? given_.intake->number(path) : std::nullopt;
  }
  // A mean of the intake, or what its quantiles say of it.
  std::optional<double> mean_tokens(const std::string& what, std::string& origin) const {
    origin = "intake traffic." + what + "_mean";
    if (const auto mean = intake("traffic." + what + "_mean")) return mean;
    const auto p50 = intake("traffic." + what + "_p50"), p95 = intake("traffic." + what + "_p95");
    origin = "intake traffic." + what + "_p50 and _p95, lognormal";
    if (p50 && p95 && *p50 > 0 && *p95 >= *p50) return lognormal_mean(*p50, *p95);
    if (!given_.plan) return std::nullopt;
    const Workload& w = given_.plan->workload;
    origin = given_.plan_name + ", lognormal";
    const bool prompt = what == "prompt_tokens";
    const double plan_p50 = prompt ? w.prompt_p50 : w.output_p50;
    const double plan_p95 = prompt ? w.prompt_p95 : w.output_p95;
    if (plan_p50 > 0 && plan_p95 >= plan_p50) return lognormal_mean(plan_p50, plan_p95);
    return std::nullopt;
  }

  Status tokens() {
    std::string origin;
    const auto prompt = mean_tokens("prompt_tokens", origin);
    if (!out.has("question-tokens") && prompt) {
      const double others = out.in.prompt_tokens();
      if (others > *prompt) {
        return make_error(
            ErrorCode::kUsage,
            "system, history and retrieval have {:g} tokens together, the prompt {:g} "
            "({}): give --question-tokens",
            others, *prompt, origin);
      }
      set("question-tokens", *prompt - others, origin + ", less the other parts");
    }
    if (!(out.in.prompt_tokens() > 0)) {
      return make_error(
          ErrorCode::kUsage,
          "how long is a prompt? --question-tokens N, or traffic.prompt_tokens_p50 and "
          "_p95 in the intake");
    }
    if (out.has("output-tokens")) return {};
    const auto output = mean_tokens("output_tokens", origin);
    if (!output) {
      return make_error(
          ErrorCode::kUsage,
          "how long is an answer? --output-tokens N, or traffic.output_tokens_p50 and "
          "_p95 in the intake");
    }
    set("output-tokens", *output, origin);
    return {};
  }

  void load() {
    if (out.has("requests-per-day")) return;
    if (const auto rate = intake("traffic.requests_per_s")) {
      set("requests-per-day", *rate * kSecondsPerDay, "intake traffic.requests_per_s");
    } else if (given_.plan && given_.plan->workload.rate_per_s > 0) {
      set("requests-per-day", given_.plan->workload.rate_per_s * kSecondsPerDay, given_.plan_name);
    }
  }

  void use(std::string what, const PriceOrigin& origin, bool& stale) {
    PriceUse u{std::move(what), origin.source, origin.date, 0, origin.verified, false, origin.note};
    u.age_days = today_ - day_number(origin.date).value_or(today_);
    u.stale = u.age_days > kPriceDays;
    stale = stale || u.stale;
    out.prices.push_back(std::move(u));
  }

  Result<ApiPrice> find_api(const std::string& flag, const std::string& id) const {
    if (const ApiPrice* p = prices_.api(id)) return *p;
    std::vector<std::string> ids;
    ids.reserve(prices_.apis.size());
    for (const ApiPrice& p : prices_.apis) ids.push_back(p.id);
    return make_error(ErrorCode::kUsage,
                      "{} {}: no price is known; the nearest is {} (weir cost --list), or give it "
                      "with --input-usd and --output-usd",
                      flag, id, config::nearest(id, ids));
  }

  Status models() {
    if (!given_.api.empty()) {
      WEIR_ASSIGN(out.api, find_api("--api", given_.api));
      const std::string from = "prices " + out.api->id;
      set_range("input-usd", out.api->input, from);
      set_range("cached-usd", out.api->cached_input, from);
      set_range("write-usd", out.api->cache_write, from);
      set_range("output-usd", out.api->output, from);
      if (!out.has("batch-discount")) set("batch-discount", out.api->batch_discount, from);
      use(fmt::format("{} ({})", out.api->id, out.api->provider), out.api->origin,
          out.hosted_stale);
    }
    out.in.batch_stacks = !out.api || out.api->batch_stacks;
    follow("input-usd", "cached-usd", "write-usd");
    WEIR_TRY(small_model());
    follow("small-input-usd", "small-cached-usd", "small-write-usd");
    return {};
  }

  Status small_model() {
    if (given_.small.empty()) return {};
    WEIR_ASSIGN(out.small, find_api("--small", given_.small));
    const std::string from = "prices " + out.small->id;
    set_range("small-input-usd", out.small->input, from);
    set_range("small-cached-usd", out.small->cached_input, from);
    set_range("small-write-usd", out.small->cache_write, from);
    set_range("small-output-usd", out.small->output, from);
    use(fmt::format("{} ({})", out.small->id, out.small->provider), out.small->origin,
        out.hosted_stale);
    return {};
  }
  // Cached and written tokens cost what input does, unless told.
  void follow(const char* input, const char* cached, const char* write) {
    if (!out.has(input)) return;
    const double usd = out.in.*(find_cost_input(input)->member);
    if (!out.has(cached)) set(cached, usd, std::string("as --") + input);
    if (!out.has(write)) set(write, usd, std::string("as --") + input);
  }

  void plan_figures() {
    const PlanFile& p = *given_.plan;
    if (!out.has("devices")) set("devices", p.devices(), given_.plan_name);
    // Few of the optimistic end, many of the pessimistic one; 0: that end cannot.
    const int most = p.replicas_high > 0 ? p.replicas_high : p.replicas_low;
    if (!out.has("replicas") && most > 0) {
      set("replicas", most,
          given_.plan_name +
              (p.replicas_high > 0 ? ", the pessimistic end" : ", the optimistic end"));
      if (p.replicas_low > 0) range("replicas", p.replicas_low, most);
    }
    const auto& point = p.low ? p.low : p.high;
    if (!out.has("replica-requests-per-s") && point) {
      set("replica-requests-per-s", point->rate_per_s,
          given_.plan_name + (p.low ? ", the pessimistic end" : ", the optimistic end"));
      if (p.high) range("replica-requests-per-s", point->rate_per_s, p.high->rate_per_s);
    }
  }

  Status fleet() {
    if (given_.plan) plan_figures();
    if (!out.has("devices") && intake("stack.tensor_parallel"))
      set("devices", *intake("stack.tensor_parallel"), "intake stack.tensor_parallel");
    if (out.has("device-usd-per-hour")) return {};
    std::string id = given_.accelerator;
    if (id.empty() && given_.plan) id = given_.plan->accelerator;
    if (id.empty() && out.has("replicas") && given_.intake)
      id = given_.intake->text("hardware.accelerator").value_or("");
    if (id.empty()) return {};
    return rent(id);
  }

  Status rent(const std::string& id) {
    if (id == kThisMachine) {
      return make_error(ErrorCode::kUsage,
                        "{} has no rental price: give --device-usd-per-hour, what an hour of it "
                        "costs (price over its life, power, housing), or --accelerator ID for what "
                        "would be rented",
                        id);
    }
    const Accelerator* a = accelerators_.find(id);
    if (a == nullptr) {
      std::vector<std::string> ids;
      ids.reserve(accelerators_.all.size());
      for (const Accelerator& known : accelerators_.all) ids.push_back(known.id);
      return make_error(ErrorCode::kUsage,
                        "--accelerator {}: weir knows none of that name; the nearest is {}", id,
                        config::nearest(id, ids));
    }
    const char* how = given_.spot ? "spot" : "on demand";
    if (const RentalPrice* p = prices_.rental(id, given_.spot)) {
      set_range("device-usd-per-hour", p->usd_per_hour, fmt::format("rent of {}, {}", id, how));
      use(fmt::format("{}, {}", id, how), p->origin, out.rent_stale);
      return {};
    }
    if (a->price_usd_per_hour && !given_.spot) {
      const auto& p = *a->price_usd_per_hour;
      const AcceleratorSource* s = a->source(p.source);
      set_range("device-usd-per-hour", {p.low_usd, p.high_usd}, fmt::format("rent of {}", id));
      use(id, {s == nullptr ? p.source : s->url, p.date, s != nullptr && s->verified, p.note},
          out.rent_stale);
      return {};
    }
    return make_error(ErrorCode::kUsage,
                      "no price of {} is known {}: give --device-usd-per-hour LOW..HIGH", id, how);
  }

  void outcomes() {
    out.outcomes = given_.outcomes;
    if (out.has("accept-rate")) return;
    if (given_.outcomes) {
      set("accept-rate", given_.outcomes->accept_rate(), given_.outcomes_name);
      range("accept-rate", given_.outcomes->accept_low(), given_.outcomes->accept_high());
    } else if (const auto rate = intake("observed.accept_rate")) {
      set("accept-rate", *rate, "intake observed.accept_rate");
    } else {
      set("accept-rate", 1, "assumed");
      out.notes.emplace_back(
          "every answer is taken as accepted: --accept-rate or --outcomes FILE says otherwise");
    }
  }

  // The hit rate of the prefix: told, measured, or none.
  void cache() {
    CostInputs& in = out.in;
    if (!out.has("cache-hit-rate")) {
      const double share =
          in.prompt_tokens() / in.prefix_tokens();  // both are of all prompt tokens
      if (const auto hit = intake("observed.prefix_hit_rate")) {
        set("cache-hit-rate", std::min(1.0, *hit * share), "intake observed.prefix_hit_rate");
      } else if (const auto shared = intake("traffic.shared_prefix_share")) {
        set("cache-hit-rate", std::min(1.0, *shared * share),
            "intake traffic.shared_prefix_share, an upper bound");
      }
    }
    const double least = out.api ? out.api->cache_minimum_tokens : 0;
    if (in.cache_hit_rate > 0 && in.prefix_tokens() < least) {
      out.notes.push_back(
          fmt::format("prefixes of {:.0f} tokens are not cached by {}, which keeps {:.0f} "
                      "or more: the hit rate is taken as 0",
                      in.prefix_tokens(), out.api->id, least));
      set("cache-hit-rate", 0, "below the provider's minimum");
      std::erase_if(out.ranges, [](const InputRange& r) { return r.name == "cache-hit-rate"; });
    }
    if (in.cache_hit_rate > 0 && out.small &&
        in.prefix_tokens() < out.small->cache_minimum_tokens) {
      for (const char* name : {"small-cached-usd", "small-write-usd"}) {
        set(name, in.small_input_usd, "below the provider's minimum, as --small-input-usd");
        std::erase_if(out.ranges, [&](const InputRange& r) { return r.name == name; });
      }
    }
  }

  const CostGiven& given_;
  const Prices& prices_;
  const Accelerators& accelerators_;
  int today_;
};

}  // namespace

Result<CostFigure> parse_cost_figure(const CostInput& input, std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return make_error(
        ErrorCode::kUsage,
        "--{} {}: {}; write VALUE, LOW..HIGH or LOW..VALUE..HIGH with numbers from 0 to "
        "{} ({})",
        input.name, text, why, input.max, input.unit);
  };
  std::vector<double> numbers;
  for (std::string_view rest = text;;) {
    const size_t dots = rest.find("..");
    const std::string_view part = rest.substr(0, dots);
    double value = 0;
    const char* end = part.data() + part.size();
    if (part.empty() || std::from_chars(part.data(), end, value).ptr != end ||
        !std::isfinite(value))
      return bad("is no number");
    if (value < 0) return bad("is negative");
    if (value > input.max) return bad("is too large");
    numbers.push_back(value);
    if (dots == std::string_view::npos) break;
    rest = rest.substr(dots + 2);
  }
  if (numbers.size() > 3) return bad("has too many parts");
  if (!std::is_sorted(numbers.begin(), numbers.end())) return bad("is not in order");
  CostFigure f;
  f.value = numbers.size() == 2 ? (numbers[0] + numbers[1]) / 2 : numbers[numbers.size() / 2];
  if (numbers.size() > 1) f.range = std::pair(numbers.front(), numbers.back());
  return f;
}

double lognormal_mean(double p50, double p95) {
  constexpr double kZ95 = 1.6448536269514722;
  const double s = std::log(p95 / p50) / kZ95;
  return p50 * std::exp(s * s / 2);
}

Result<CostCase> make_cost_case(const CostGiven& given, const Prices& prices,
                                const Accelerators& accelerators, int today) {
  Builder builder(given, prices, accelerators, today);
  WEIR_TRY(builder.build());
  return std::move(builder.out);
}

}  // namespace weir::ops
