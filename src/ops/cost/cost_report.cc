#include "ops/cost/cost_report.h"

#include <algorithm>
#include <cmath>

#include "ops/sources/days.h"
#include "plot/text.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr double kSecondsPerDay = 86'400;

std::string n(double v) { return cost_number(v); }

CostSection budget(const CostCase& c) {
  CostSection s{"budget",
                c.tiers ? "Token budget: what each part costs a month, all by the large model"
                        : "Token budget: what each part costs a month",
                {},
                c.hosted_stale};
  const CostInputs& in = c.in;
  const TokenPrices p = large_prices(in);
  const bool cached = in.cache_hit_rate > 0;
  const bool split = in.system_tokens + in.history_tokens > 0;
  const double prefix_price =
      cached ? in.cache_hit_rate * p.cached + (1 - in.cache_hit_rate) * p.write : p.input;
  const double monthly = in.requests_per_day * kDaysPerMonth / 1e6;
  const auto part = [&](const char* id, const char* name, double tokens, double price) {
    if (!(tokens > 0)) return;
    s.rows.push_back(
        {id, name, monthly > 0 ? tokens * price * monthly : tokens * price / 1e6,
         monthly > 0 ? "USD/month" : "USD/request",
         fmt::format("{} tokens × {} USD/million{}", n(tokens), n(price),
                     monthly > 0 ? fmt::format(" × {} requests/day × {} days",
                                               n(in.requests_per_day), n(kDaysPerMonth))
                                 : "")});
  };
  part("system", "system", in.system_tokens, prefix_price);
  part("history", "history", in.history_tokens, prefix_price);
  part("retrieval", "retrieval", in.retrieval_tokens, split ? p.input : prefix_price);
  part("question", split ? "question" : "prompt", in.question_tokens,
       split ? p.input : prefix_price);
  part("output", "output", in.output_tokens, p.output);
  return s;
}

// Whether a request costs what slo.cost_usd_per_request allows.
void add_limit(const CostCase& c, double usd, CostSection& s) {
  if (!c.limit_usd) return;
  s.rows.push_back({"limit_usd", "what a request may cost", *c.limit_usd, "USD",
                    fmt::format("intake slo.cost_usd_per_request: {}, a request costs {}",
                                usd <= *c.limit_usd ? "met" : "missed", n(usd))});
}

CostSection hosted(const CostCase& c) {
  CostSection s{"hosted", "Hosted", {}, c.hosted_stale};
  const CostInputs& in = c.in;
  const double large = request_usd(in, large_prices(in), in.cache_hit_rate);
  const double usd = hosted_usd(in);
  s.rows.push_back(
      {"request_usd", "a request, interactive, the large model", large, "USD",
       fmt::format("{} prompt tokens, {} of them prefix at a hit rate of {}; {} output tokens",
                   n(in.prompt_tokens()), n(in.prefix_tokens()), n(in.cache_hit_rate),
                   n(in.output_tokens))});
  s.rows.push_back(
      {"mixed_usd", "a request, tiers and batch included", usd, "USD",
       fmt::format("batch share {} × discount {}{}{}", n(in.batch_share), n(in.batch_discount),
                   in.batch_share > 0 && !in.batch_stacks ? " without the cache's" : "",
                   c.tiers ? fmt::format("; escalation share {}", n(in.escalation_share)) : "")});
  add_limit(c, usd, s);
  const double tokens = in.prompt_tokens() + in.output_tokens;
  s.rows.push_back({"million_tokens_usd", "a million tokens, prompt and output", usd / tokens * 1e6,
                    "USD", fmt::format("{} / {} tokens", n(usd), n(tokens))});
  if (in.output_tokens > 0) {
    s.rows.push_back({"million_output_usd", "a million output tokens", usd / in.output_tokens * 1e6,
                      "USD", fmt::format("{} / {} tokens", n(usd), n(in.output_tokens))});
  }
  s.rows.push_back({"accepted_usd", "an accepted answer", accepted_usd(in, CostMode::kHosted),
                    "USD", fmt::format("{} / {} accepted", n(usd), n(in.accept_rate))});
  if (in.requests_per_day > 0) {
    s.rows.push_back({"month_usd", "a month", usd * in.requests_per_day * kDaysPerMonth, "USD",
                      fmt::format("{} requests/day", n(in.requests_per_day))});
  }
  return s;
}

CostRow row_or(std::string id, std::string name, std::optional<double> value, std::string unit,
               std::string how, std::string why_not) {
  const bool there = value.has_value();
  return {std::move(id), std::move(name), value, std::move(unit),
          there ? std::move(how) : std::move(why_not)};
}

CostSection caching(const CostCase& c) {
  CostSection s{"caching", "Caching break-even", {}, c.hosted_stale};
  const TokenPrices p = large_prices(c.in);
  const auto h = break_even_hit_rate(p);
  const std::string none = "cached tokens cost no less than input";
  s.rows.push_back(row_or("break_even_hit_rate", "hit rate from which on caching pays", h, "of 1",
                          fmt::format("(write {} − input {}) / (write {} − cached {})", n(p.write),
                                      n(p.input), n(p.write), n(p.cached)),
                          none));
  s.rows.push_back(row_or("break_even_reads", "reads of an entry for each write",
                          break_even_reads(p), "",
                          fmt::format("(write {} − input {}) / (input {} − cached {})", n(p.write),
                                      n(p.input), n(p.input), n(p.cached)),
                          none));
  if (c.api && c.api->cache_ttl_s > 0) {
    s.rows.push_back(
        row_or("break_even_requests_per_hour", "requests an hour with the same prefix",
               break_even_requests_per_hour(p, c.api->cache_ttl_s), "1/h",
               fmt::format("−ln(1 − {}) / {} s × 3600: Poisson arrivals, each use renews the entry",
                           n(h.value_or(0)), n(c.api->cache_ttl_s)),
               none));
  }
  const double without = request_usd(c.in, p, 0), with = request_usd(c.in, p, c.in.cache_hit_rate);
  s.rows.push_back({"saved", "saved at this hit rate", 1 - with / without, "of 1",
                    fmt::format("1 − {} / {} USD a request; hit rate {}", n(with), n(without),
                                n(c.in.cache_hit_rate))});
  return s;
}

CostSection tiers(const CostCase& c) {
  CostSection s{"tiers", "A smaller model first", {}, c.hosted_stale};
  const CostInputs& in = c.in;
  const double large = request_usd(in, large_prices(in), in.cache_hit_rate);
  const double small = request_usd(in, small_prices(in), in.cache_hit_rate);
  s.rows.push_back({"small_usd", "a request, the small model", small, "USD",
                    fmt::format("the same tokens at {} / {} USD/million", n(in.small_input_usd),
                                n(in.small_output_usd))});
  s.rows.push_back(row_or(
      "break_even_escalation", "share of escalations up to which it pays",
      break_even_escalation(in), "of 1",
      fmt::format("1 − (small {} + check {}) / large {}", n(small), n(in.check_usd), n(large)),
      "small and check cost more than the large model alone"));
  const double cascade = small + in.check_usd + in.escalation_share * large;
  s.rows.push_back({"saved", fmt::format("saved at a share of {}", n(in.escalation_share)),
                    1 - cascade / large, "of 1",
                    fmt::format("1 − (small {} + check {} + {} × large {}) / large {}", n(small),
                                n(in.check_usd), n(in.escalation_share), n(large), n(large))});
  return s;
}

CostSection batch(const CostCase& c) {
  CostSection s{"batch", "Batch or interactive", {}, c.hosted_stale};
  const CostInputs& in = c.in;
  const double large = request_usd(in, large_prices(in), in.cache_hit_rate);
  const double hours = c.api && c.api->batch_hours > 0 ? c.api->batch_hours : 24;
  const bool stacks = in.batch_stacks;
  const double base = stacks ? large : request_usd(in, large_prices(in), 0);
  const double price = (1 - in.batch_discount) * base;
  s.rows.push_back(
      {"batch_usd", "a request as batch", price, "USD",
       fmt::format("(1 − {}) × {}{}", n(in.batch_discount), n(base),
                   stacks ? "" : ", without the cache's discount, which does not add up")});
  s.rows.push_back(
      {"hour_worth_usd", "an hour's wait pays up to", std::max(0.0, large - price) / hours, "USD/h",
       fmt::format("({} − {}) / {} h until the answer", n(large), n(price), n(hours))});
  if (!stacks) {
    s.rows.push_back(
        row_or("break_even_hit_rate", "hit rate from which on interactive is cheaper",
               break_even_hit_rate_of_batch(in), "of 1",
               fmt::format("(all written − {}) / (prefix × (write − cached))", n(price)),
               "at no hit rate"));
  }
  return s;
}

CostSection own(const CostCase& c) {
  CostSection s{"self_hosted", "One's own machines", {}, c.rent_stale};
  const CostInputs& in = c.in;
  s.rows.push_back({"fleet_usd", "the fleet, a month", fleet_usd_per_month(in), "USD",
                    fmt::format("{} replicas × {} devices × {} USD/h × {} h + {} overhead",
                                n(in.replicas), n(in.devices), n(in.device_usd_per_hour),
                                n(kHoursPerMonth), n(in.overhead_usd_per_month))});
  const double usd = self_hosted_usd(in);
  s.rows.push_back({"request_usd", "a request", usd, "USD",
                    fmt::format("fleet / ({} requests/day × {} days)", n(in.requests_per_day),
                                n(kDaysPerMonth))});
  add_limit(c, usd, s);
  s.rows.push_back({"million_tokens_usd", "a million tokens, prompt and output",
                    usd / (in.prompt_tokens() + in.output_tokens) * 1e6, "USD", ""});
  if (in.output_tokens > 0)
    s.rows.push_back(
        {"million_output_usd", "a million output tokens", usd / in.output_tokens * 1e6, "USD", ""});
  s.rows.push_back({"accepted_usd", "an accepted answer", accepted_usd(in, CostMode::kSelfHosted),
                    "USD", fmt::format("{} / {} accepted", n(usd), n(in.accept_rate))});
  if (in.replica_requests_per_s > 0) {
    s.rows.push_back(
        {"utilisation", "utilisation", utilisation(in), "of 1",
         fmt::format("{} requests/day × (1 + redone {}) / ({} replicas × {} /s × 86400)",
                     n(in.requests_per_day), n(in.redo_share), n(in.replicas),
                     n(in.replica_requests_per_s))});
  }
  return s;
}

CostSection against(const CostCase& c) {
  CostSection s{"self_host_or_hosted", "One's own or hosted", {}, c.hosted_stale || c.rent_stale};
  const CostInputs& in = c.in;
  const double api = hosted_usd(in);
  const double carried =
      in.replicas * in.replica_requests_per_s * kSecondsPerDay / (1 + in.redo_share);
  const auto requests = break_even_requests_per_day(in);
  const char* beyond =
      carried > 0 && requests.value_or(0) > carried ? "; more than the fleet carries" : "";
  s.rows.push_back(row_or("break_even_requests_per_day",
                          "requests a day from which on one's own is cheaper", requests, "1/day",
                          fmt::format("fleet {} USD/month / ({} USD a request × {} days){}",
                                      n(fleet_usd_per_month(in)), n(api), n(kDaysPerMonth), beyond),
                          "hosted costs nothing"));
  if (in.replica_requests_per_s > 0) {
    s.rows.push_back(row_or(
        "break_even_utilisation", "utilisation from which on one's own is cheaper",
        break_even_utilisation(in), "of 1",
        fmt::format("fleet × (1 + redone {}) / ({} USD × {} replicas × {} /s × 86400 × {} days)",
                    n(in.redo_share), n(api), n(in.replicas), n(in.replica_requests_per_s),
                    n(kDaysPerMonth)),
        "never: even a full fleet costs more a request than hosted"));
  }
  s.rows.push_back({"own_over_hosted", "one's own over hosted, at this load",
                    self_hosted_usd(in) / api, "times",
                    fmt::format("{} / {} USD a request", n(self_hosted_usd(in)), n(api))});
  return s;
}

CostSection outcomes(const Outcomes& o) {
  CostSection s{"outcomes", "Outcomes, as recorded", {}, false};
  s.rows.push_back({"requests", "requests", static_cast<double>(o.requests), "", ""});
  s.rows.push_back({"accept_rate", "accepted", o.accept_rate(), "of 1",
                    fmt::format("{} of {}; 95 %: {} to {}", o.accepted, o.requests,
                                n(o.accept_low()), n(o.accept_high()))});
  s.rows.push_back({"request_usd", "a request", o.usd_per_request(), "USD", ""});
  s.rows.push_back(row_or("accepted_usd", "an accepted answer",
                          o.accepted > 0 ? std::optional(o.usd_per_accepted()) : std::nullopt,
                          "USD", fmt::format("{} USD / {}", n(o.cost_usd), o.accepted),
                          "none was accepted"));
  return s;
}

// Every hosted price for the same tokens, the cheapest first.
CostSection compared(const CostCase& c, const Prices& prices, int today) {
  CostSection s{
      "compared", "Hosted models for these tokens (weir cost --api ID tells more)", {}, false};
  for (const ApiPrice& p : prices.apis) {
    CostInputs in = c.in;
    const TokenPrices t{p.input.middle(), p.cached_input.middle(), p.cache_write.middle(),
                        p.output.middle()};
    const double hit =
        in.prefix_tokens() < p.cache_minimum_tokens || !p.caches ? 0 : in.cache_hit_rate;
    const double batch = (1 - p.batch_discount) * request_usd(in, t, p.batch_stacks ? hit : 0);
    const double request = (1 - in.batch_share) * request_usd(in, t, hit) + in.batch_share * batch;
    const double usd = request / in.accept_rate;
    const int age = today - day_number(p.origin.date).value_or(today);
    s.rows.push_back(
        {p.id, fmt::format("{} ({})", p.id, p.provider), usd, "USD/accepted",
         fmt::format("{} / {} USD/million of {}{}{}", n(t.input), n(t.output), p.origin.date,
                     age > kPriceDays ? fmt::format("; stale, {} days", age) : "",
                     c.limit_usd && request > *c.limit_usd
                         ? fmt::format("; missed: a request costs {} of at most {} USD", n(request),
                                       n(*c.limit_usd))
                         : "")});
    s.stale = s.stale || age > kPriceDays;
  }
  std::stable_sort(s.rows.begin(), s.rows.end(),
                   [](const CostRow& a, const CostRow& b) { return *a.value < *b.value; });
  return s;
}

Json section_json(const CostSection& s) {
  Json rows = Json::object();
  for (const CostRow& row : s.rows) {
    Json j = Json::object();
    j.set("value", row.value ? Json(*row.value) : Json());
    j.set("unit", row.unit);
    j.set("how", row.how);
    rows.set(row.id, std::move(j));
  }
  Json j = Json::object();
  j.set("stale", s.stale);
  j.set("rows", std::move(rows));
  return j;
}

Json tornado_json(const CostTornado& t) {
  Json swings = Json::array();
  for (const Swing& s : t.swings) {
    Json j = Json::object();
    j.set("input", s.input->name);
    j.set("low", s.low);
    j.set("high", s.high);
    j.set("usd_low", s.usd_low);
    j.set("usd_high", s.usd_high);
    j.set("stated", s.stated);
    swings.push_back(std::move(j));
  }
  Json j = Json::object();
  j.set("base_usd", t.base_usd);
  j.set("stale", t.stale);
  j.set("inputs", std::move(swings));
  return j;
}

Json price_json(const PriceUse& p) {
  Json j = Json::object();
  j.set("what", p.what);
  j.set("source", p.source);
  j.set("date", p.date);
  j.set("age_days", p.age_days);
  j.set("stale", p.stale);
  j.set("verified", p.verified);
  if (!p.note.empty()) j.set("note", p.note);
  return j;
}

}  // namespace

CostReport make_cost_report(CostCase made, const Prices& prices, int today) {
  CostReport r;
  const CostCase& c = made;
  if (c.hosted) {
    r.sections = {budget(c), hosted(c), caching(c)};
    if (c.tiers) r.sections.push_back(tiers(c));
    if (c.in.batch_discount > 0) r.sections.push_back(batch(c));
    r.tornadoes.push_back({"hosted", "What moves the cost of an accepted answer, hosted",
                           accepted_usd(c.in, CostMode::kHosted),
                           sensitivity(c.in, CostMode::kHosted, c.ranges), c.hosted_stale});
  } else {
    r.sections.push_back(compared(c, prices, today));
  }
  if (c.self_hosted) {
    r.sections.push_back(own(c));
    if (c.hosted && hosted_usd(c.in) > 0) r.sections.push_back(against(c));
    r.tornadoes.push_back({"self_hosted",
                           "What moves the cost of an accepted answer, one's own machines",
                           accepted_usd(c.in, CostMode::kSelfHosted),
                           sensitivity(c.in, CostMode::kSelfHosted, c.ranges), c.rent_stale});
  }
  if (c.outcomes) r.sections.push_back(outcomes(*c.outcomes));
  if (c.self_hosted && c.in.replica_requests_per_s > 0 && utilisation(c.in) > 1) {
    made.notes.push_back(fmt::format(
        "the fleet does not carry this load: utilisation {}; what it costs a request is too little",
        n(utilisation(c.in))));
  }
  r.made = std::move(made);
  return r;
}

std::string cost_number(double v) {
  constexpr double kWhole = 1000, kMost = 1e15;
  if (std::abs(v) >= kWhole && std::abs(v) < kMost) return plot::count_text(std::llround(v));
  return fmt::format("{:.4g}", v);
}

std::string cost_text(const CostReport& r) {
  std::string out;
  for (const CostSection& s : r.sections) {
    out += fmt::format("{}{}\n", s.title, s.stale ? "  [stale prices]" : "");
    for (const CostRow& row : s.rows) {
      out += fmt::format("  {:<46} {:>12} {:<12} {}\n", row.name, row.value ? n(*row.value) : "–",
                         row.value ? row.unit : "", row.how);
    }
    out += "\n";
  }
  for (const CostTornado& t : r.tornadoes) {
    out += fmt::format("{}: {} USD{}\n", t.title, n(t.base_usd), t.stale ? "  [stale prices]" : "");
    for (const Swing& s : t.swings) {
      out += fmt::format("  {:<24} {:>10} to {:<10} {:>12} to {:<12} {}\n", s.input->name, n(s.low),
                         n(s.high), n(s.usd_low), n(s.usd_high), s.stated ? "as told" : "±20 %");
    }
    out += "\n";
  }
  out += "Inputs\n";
  for (const auto& [name, origin] : r.made.origins) {
    const CostInput* input = find_cost_input(name);
    out += fmt::format("  {:<24} {:>12} {:<13} {}\n", name, n(r.made.in.*(input->member)),
                       input->unit, origin);
  }
  if (!r.made.prices.empty()) out += "\nPrices\n";
  for (const PriceUse& p : r.made.prices) {
    out += fmt::format("  {}: {}, {}, {} days old{}{}{}\n", p.what, p.source, p.date, p.age_days,
                       p.stale ? fmt::format(" [stale: {} at most]", kPriceDays) : "",
                       p.verified ? "" : " [unverified]", p.note.empty() ? "" : "; " + p.note);
  }
  for (const std::string& note : r.made.notes) out += "\nnote: " + note + "\n";
  return out;
}

text::Json cost_json(const CostReport& r) {
  Json sections = Json::object(), tornadoes = Json::object(), inputs = Json::object();
  for (const CostSection& s : r.sections) sections.set(s.id, section_json(s));
  for (const CostTornado& t : r.tornadoes) tornadoes.set(t.id, tornado_json(t));
  for (const auto& [name, origin] : r.made.origins) {
    Json j = Json::object();
    j.set("value", r.made.in.*(find_cost_input(name)->member));
    j.set("origin", origin);
    inputs.set(name, std::move(j));
  }
  Json prices = Json::array(), notes = Json::array();
  for (const PriceUse& p : r.made.prices) prices.push_back(price_json(p));
  for (const std::string& note : r.made.notes) notes.push_back(note);
  Json out = Json::object();
  out.set("schema", "weir-cost-1");
  out.set("sections", std::move(sections));
  out.set("sensitivity", std::move(tornadoes));
  out.set("inputs", std::move(inputs));
  out.set("prices", std::move(prices));
  out.set("notes", std::move(notes));
  return out;
}

}  // namespace weir::ops
