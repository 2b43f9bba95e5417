// weir cost: what requests cost, hosted and on one's own machines, and where the break-evens lie.
#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/ops_commands.h"
#include "cli/outputs.h"
#include "gateway/state/ledger_reader.h"
#include "ops/cost/cost_report.h"
#include "ops/project/own_files.h"
#include "ops/project/project.h"
#include "ops/sources/days.h"
#include "os/file.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxPriceBytes = 1 << 20;
constexpr size_t kMaxOutcomeLines = size_t{64} << 20;  // bytes

struct Options {
  std::string folder = ".";
  std::string plan, prices, outcomes, html, today;
  std::string api, small, accelerator;
  bool spot = false, list = false, json = false;
  std::map<std::string, std::string> figures;  // by the input's name, as given
};

Result<ops::Prices> load_prices(const Options& o) {
  if (o.prices.empty()) return ops::built_in_prices();
  WEIR_ASSIGN(const std::string text, os::read_file(o.prices, kMaxPriceBytes));
  return ops::parse_prices(text, o.prices);
}

// JSON lines, or a gateway's ledger as it is.
Result<ops::Outcomes> load_outcomes(const std::string& file) {
  if (!gateway::LedgerReader::is_database(file)) return ops::read_outcomes(file);
  WEIR_ASSIGN(auto ledger, gateway::LedgerReader::open(file));
  WEIR_ASSIGN(const std::string lines, ledger.requests({}, true, kMaxOutcomeLines));
  return ops::parse_outcomes(lines, file);
}

text::Json origin_json(const ops::PriceOrigin& origin, int today) {
  const int age = today - ops::day_number(origin.date).value_or(today);
  text::Json j = text::Json::object();
  j.set("source", origin.source);
  j.set("date", origin.date);
  j.set("age_days", age);
  j.set("stale", age > ops::kPriceDays);
  j.set("verified", origin.verified);
  return j;
}

int list_json(const ops::Prices& prices, int today) {
  text::Json apis = text::Json::array(), rentals = text::Json::array();
  for (const ops::ApiPrice& p : prices.apis) {
    text::Json j = origin_json(p.origin, today);
    j.set("id", p.id);
    j.set("provider", p.provider);
    j.set("input", p.input.middle());
    j.set("cached_input", p.cached_input.middle());
    j.set("cache_write", p.cache_write.middle());
    j.set("output", p.output.middle());
    apis.push_back(std::move(j));
  }
  for (const ops::RentalPrice& p : prices.rentals) {
    text::Json j = origin_json(p.origin, today);
    j.set("accelerator", p.accelerator);
    j.set("spot", p.spot);
    j.set("low_usd_per_hour", p.usd_per_hour.low);
    j.set("high_usd_per_hour", p.usd_per_hour.high);
    rentals.push_back(std::move(j));
  }
  text::Json all = text::Json::object();
  all.set("apis", std::move(apis));
  all.set("rentals", std::move(rentals));
  fmt::print("{}\n", all.dump());
  return kExitOk;
}

int list(const ops::Prices& prices, int today) {
  const auto origin = [&](const ops::PriceOrigin& o) {
    const int age = today - ops::day_number(o.date).value_or(today);
    return fmt::format("{} {}{}", o.date, o.source, age > ops::kPriceDays ? " [stale]" : "");
  };
  fmt::print("USD per million tokens: input, cached input, output\n");
  for (const ops::ApiPrice& p : prices.apis)
    fmt::print("  {:<20} {:<10} {:>8g} {:>8g} {:>8g}  {}\n", p.id, p.provider, p.input.middle(),
               p.cached_input.middle(), p.output.middle(), origin(p.origin));
  fmt::print("USD per device and hour\n");
  for (const ops::RentalPrice& p : prices.rentals)
    fmt::print("  {:<20} {:<10} {:>8g} to {:<14g}  {}\n", p.accelerator,
               p.spot ? "spot" : "on demand", p.usd_per_hour.low, p.usd_per_hour.high,
               origin(p.origin));
  return kExitOk;
}

Result<ops::CostGiven> given_of(const Options& o) {
  ops::CostGiven g;
  for (const auto& [name, text] : o.figures) {
    if (text.empty()) continue;
    WEIR_ASSIGN(const ops::CostFigure figure,
                ops::parse_cost_figure(*ops::find_cost_input(name), text));
    g.figures.emplace(name, figure);
  }
  g.api = o.api;
  g.small = o.small;
  g.accelerator = o.accelerator;
  g.spot = o.spot;
  // A project is a help, not a need: flags may say all.
  const auto project = ops::Project::open(o.folder);
  if (project.ok()) {
    WEIR_ASSIGN(g.intake, ops::read_intake(project->intake()));
  } else if (o.folder != ".") {
    return project.error();
  }
  if (!o.plan.empty()) {
    WEIR_ASSIGN(g.plan, ops::read_plan_file(o.plan));
    g.plan_name = o.plan;
  }
  if (!o.outcomes.empty()) {
    WEIR_ASSIGN(g.outcomes, load_outcomes(o.outcomes));
    g.outcomes_name = o.outcomes;
  }
  return g;
}

Result<int> cost(const Options& o) {
  int today = ops::today(SystemClock());
  if (!o.today.empty()) {
    const auto day = ops::day_number(o.today);
    if (!day) return make_error(ErrorCode::kUsage, "--on {}: write a day as YYYY-MM-DD", o.today);
    today = *day;
  }
  WEIR_ASSIGN(const ops::Prices prices, load_prices(o));
  if (o.list) return o.json ? list_json(prices, today) : list(prices, today);
  std::vector<std::string> inputs = ops::own_files(o.folder);
  inputs.insert(inputs.end(), {o.plan, o.prices, o.outcomes});
  std::erase(inputs, "");
  WEIR_TRY(check_outputs({{"--html", o.html}}, inputs));
  WEIR_ASSIGN(const ops::CostGiven given, given_of(o));
  WEIR_ASSIGN(const auto accelerators, ops::load_accelerators());
  WEIR_ASSIGN(auto made, ops::make_cost_case(given, prices, accelerators, today));
  const ops::CostReport report = ops::make_cost_report(std::move(made), prices, today);
  if (!o.html.empty()) WEIR_TRY(os::write_file_atomic(o.html, ops::cost_html(report)));
  fmt::print("{}", o.json ? ops::cost_json(report).dump() + "\n" : ops::cost_text(report));
  return kExitOk;
}

}  // namespace

void add_cost(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(
      root, "cost", "What requests cost, hosted or on one's own machines, and the break-evens",
      "  weir cost --project serving                       every hosted price for the intake's "
      "traffic\n"
      "  weir cost --api gpt-6.2-sol --system-tokens 3000 --question-tokens 500 --output-tokens "
      "300 "
      "--cache-hit-rate 0.6..0.9\n"
      "  weir cost --api claude-opus-5.5 --small claude-haiku-5.5 --escalation-share 0.3\n"
      "  weir cost --api gpt-6.2-sol --plan plan.json --html cost.html\n"
      "  weir cost --list\n"
      "  weir cost report --ledger ledger.db --by tenant,model   what a gateway's requests came "
      "to\n");
  c->add_option("--project", o->folder,
                "the project's folder (weir init), whose intake tells the traffic")
      ->capture_default_str();
  c->add_option("--api", o->api, "a hosted model, by its id in --list");
  c->add_option("--small", o->small, "a smaller hosted model that is asked first");
  c->add_option("--plan", o->plan, "a plan of weir plan -o: replicas, devices and what they carry");
  c->add_option("--accelerator", o->accelerator, "whose rent is taken (default: the plan's)");
  c->add_flag("--spot", o->spot, "rent that can be interrupted");
  c->add_option("--prices", o->prices, "prices of your own, in the form of data/prices.yaml");
  c->add_option("--outcomes", o->outcomes,
                "JSON lines of cost_usd and accepted, or a gateway's ledger: the accept rate");
  c->add_option("--html", o->html, "write the report as a page");
  c->add_option("--on", o->today, "as on this day (default: today)");
  c->add_flag("--list", o->list, "the prices that are known, with dates");
  c->add_flag("--json", o->json, "one JSON document");
  for (const ops::CostInput& input : ops::cost_inputs()) {
    c->add_option("--" + std::string(input.name), o->figures[std::string(input.name)],
                  fmt::format("{} ({})", input.help, input.unit))
        ->group("Figures: VALUE, LOW..HIGH or LOW..VALUE..HIGH");
  }
  c->callback([o, c, &selected] {
    // A group's callback runs after that of its command.
    if (c->get_subcommands().empty()) selected.action = [o] { return cost(*o); };
  });
  add_cost_ledger(*c, selected);
}

}  // namespace weir::cli
