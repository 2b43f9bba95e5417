// A comparison for people and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/report/compare.h"
#include "bench/report/format.h"

namespace weir::bench {
namespace {

using text::Json;

const char* name_of(Verdict v) {
  switch (v) {
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kNoDifference:
      return "no difference";
    case Verdict::kUndecided:
      return "undecided";
    case Verdict::kNotComparable:
      return "unknown";
  }
  return "";
}

// "undecided: ± 34 %", the half of the interval that is wider.
std::string verdict_text(const MetricChange& m) {
  if (m.verdict != Verdict::kUndecided) return name_of(m.verdict);
  const double wider = std::max(m.high / m.ratio, m.ratio / m.low) - 1;
  return fmt::format("{}: ± {:.0f} %", name_of(m.verdict), 100 * wider);
}

std::string coloured(const MetricChange& m, bool colour) {
  const Verdict v = m.verdict;
  if (!colour || (v != Verdict::kBetter && v != Verdict::kWorse)) return verdict_text(m);
  return fmt::format("\x1b[{}m{}\x1b[0m", v == Verdict::kBetter ? "32" : "31", name_of(v));
}

// "+12.3 %"
std::string change_text(double ratio) {
  if (!std::isfinite(ratio)) return "?";
  const double percent = (ratio - 1) * 100;
  if (percent >= 1000) return fmt::format("{:.1f}x", ratio);
  return fmt::format("{:+.1f} %", percent);
}

Json known(double v) { return std::isnan(v) ? Json() : Json(v); }

}  // namespace

std::string comparison_text(const Comparison& c, bool colour) {
  std::string out = c.worse > 0    ? fmt::format("WORSE: {} of {} measures are worse beyond noise",
                                                 c.worse, c.changes.size())
                    : c.better > 0 ? std::string("no measure is worse beyond noise")
                                   : std::string("no difference beyond noise");
  if (c.better > 0) out += fmt::format(", {} better", c.better);
  if (c.undecided > 0) {
    out += fmt::format(
        "; {} undecided, their intervals are wide: longer runs, or several of a label, would tell",
        c.undecided);
  }
  out += "\n";
  std::string run;
  for (const MetricChange& m : c.changes) {
    if (m.run != run) {
      run = m.run;
      out += fmt::format("\n{}\n  {:<16} {:>10} {:>10}  {:<6} {:>9}   {:<22} {}\n", printable(run),
                         "", "before", "after", "", "change", "95 % interval", "verdict");
    }
    out += fmt::format(
        "  {:<16} {:>10} {:>10}  {:<6} {:>9}   {:<22} {}\n", m.title, number_text(m.a),
        number_text(m.b), m.unit, change_text(m.ratio),
        std::isfinite(m.low) ? change_text(m.low) + " to " + change_text(m.high) : std::string("?"),
        coloured(m, colour));
  }
  if (!c.notes.empty()) out += "\n";
  for (const std::string& note : c.notes) out += "note: " + printable(note) + "\n";
  return out;
}

Json comparison_json(const Comparison& c) {
  Json changes = Json::array();
  for (const MetricChange& m : c.changes) {
    Json o = Json::object();
    o.set("run", m.run);
    o.set("metric", m.metric);
    o.set("unit", m.unit);
    o.set("before", known(m.a));
    o.set("after", known(m.b));
    o.set("ratio", known(m.ratio));
    o.set("ratio_low", known(m.low));
    o.set("ratio_high", known(m.high));
    o.set("p_value", m.p_value);
    o.set("higher_is_better", m.higher_is_better);
    o.set("verdict", name_of(m.verdict));
    changes.push_back(std::move(o));
  }
  Json notes = Json::array();
  for (const std::string& note : c.notes) notes.push_back(note);
  Json o = Json::object();
  o.set("schema", "weir.bench.compare/1");
  o.set("worse", c.worse);
  o.set("better", c.better);
  o.set("undecided", c.undecided);
  o.set("changes", std::move(changes));
  o.set("notes", std::move(notes));
  return o;
}

}  // namespace weir::bench
