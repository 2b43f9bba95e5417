// What a case costs, as rows that text, JSON and HTML show alike: each with its formula.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ops/cost/cost_case.h"
#include "text/json.h"

namespace weir::ops {

struct CostRow {
  std::string id;    // "break_even_hit_rate"
  std::string name;  // for people
  std::optional<double> value;
  std::string unit;
  std::string how;  // the formula with its values; of an absent value: why
};

struct CostSection {
  std::string id, title;
  std::vector<CostRow> rows;
  bool stale = false;  // a price that it rests on is older than 30 days
};

struct CostTornado {
  std::string id, title;
  double base_usd = 0;
  std::vector<Swing> swings;
  bool stale = false;
};

struct CostReport {
  CostCase made;
  std::vector<CostSection> sections;
  std::vector<CostTornado> tornadoes;
};

// The sections that the case has figures for. Hosted models are compared by every price that is
// known where the case names none. Pure.
CostReport make_cost_report(CostCase made, const Prices& prices, int today);

// Four significant digits; whole numbers with commas from 1,000 on.
std::string cost_number(double v);

std::string cost_text(const CostReport& report);
text::Json cost_json(const CostReport& report);
std::string cost_html(const CostReport& report);

}  // namespace weir::ops
