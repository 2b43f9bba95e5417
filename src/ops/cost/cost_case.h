// One case to be costed: inputs with where each comes from, and the prices that they rest on.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/cost/cost_model.h"
#include "ops/cost/outcomes.h"
#include "ops/cost/prices.h"
#include "ops/data/accelerators.h"
#include "ops/intake/intake.h"
#include "ops/plan/plan_file.h"

namespace weir::ops {

// What a flag says: VALUE, LOW..HIGH (the middle is taken) or LOW..VALUE..HIGH.
struct CostFigure {
  double value = 0;
  std::optional<std::pair<double, double>> range;
};
// Error kUsage: "--NAME TEXT: ..." for what is no number, negative, beyond the input's range, or
// not in order.
Result<CostFigure> parse_cost_figure(const CostInput& input, std::string_view text);

struct CostGiven {
  std::map<std::string, CostFigure, std::less<>> figures;  // by the input's name
  std::string api, small;                                  // ids of prices; empty: none
  std::string accelerator;  // whose rent is taken; empty: the plan's, else the intake's
  bool spot = false;
  std::optional<Intake> intake;
  std::optional<PlanFile> plan;
  std::string plan_name;  // of its file
  std::optional<Outcomes> outcomes;
  std::string outcomes_name;
};

struct PriceUse {
  std::string what;    // "claude-opus-5.5 (Anthropic)"
  std::string source;  // an id of the ledger, or a flag
  std::string date;    // "" of a flag
  int age_days = 0;
  bool verified = false, stale = false;
  std::string note;
};

struct CostCase {
  CostInputs in;
  std::vector<InputRange> ranges;
  std::map<std::string, std::string, std::less<>> origins;  // of the inputs that are set
  std::vector<PriceUse> prices;
  std::vector<std::string> notes;  // what was assumed
  std::optional<ApiPrice> api, small;
  std::optional<Outcomes> outcomes;
  bool hosted = false, self_hosted = false, tiers = false;  // which of the sections there are
  std::optional<double> limit_usd;                // slo.cost_usd_per_request of the intake
  bool hosted_stale = false, rent_stale = false;  // their prices

  bool has(std::string_view input) const { return origins.contains(input); }
};

// Errors: kUsage naming what is missing and how to give it, an unknown api or accelerator with the
// nearest, a part that is larger than the prompt; those of check_inputs. today: as day_number().
Result<CostCase> make_cost_case(const CostGiven& given, const Prices& prices,
                                const Accelerators& accelerators, int today);

// The mean of a lognormal through median and 95th percentile: p50 x exp(s^2 / 2), s = ln(p95 / p50)
// / 1.645.
double lognormal_mean(double p50, double p95);

}  // namespace weir::ops
