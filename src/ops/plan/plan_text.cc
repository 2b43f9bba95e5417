// The texts of plan_report.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "ops/plan/plan_report.h"

namespace weir::ops {
namespace {

// Four digits or all before the point, never an exponent.
std::string plain(double v) {
  const double size = std::fabs(v);
  const int digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4;
  std::string out = fmt::format("{:.{}f}", v, digits);
  if (digits == 0) return out;
  out.erase(out.find_last_not_of('0') + 1);
  if (out.back() == '.') out.pop_back();
  return out;
}

std::string or_dash(double v) { return v > 0 ? plain(v) : "-"; }

// 0: that end misses the SLO.
std::string range(double pessimistic, double optimistic, const char* unit) {
  const auto text = [](double v) { return v == 0 ? "cannot" : plain(v); };
  return fmt::format("{:>12} to {:<12} {}", text(pessimistic), text(optimistic), unit);
}

bool has_objective(const PlanSlo& slo) {
  return slo.ttft_ms_p95 > 0 || slo.itl_ms_p95 > 0 || slo.total_ms_p99 > 0;
}

std::string row(const char* name, const std::string& value) {
  return fmt::format("  {:<34} {}\n", name, value);
}

std::string devices_text(const PlanFile& p) {
  std::string out = fmt::format("{}", p.devices());
  if (p.pipeline_parallel > 1)
    out += fmt::format(" (tensor {} × pipeline {})", p.tensor_parallel, p.pipeline_parallel);
  if (p.expert_parallel > 1) out += fmt::format(" (experts over {})", p.expert_parallel);
  return out;
}

std::string states_text(const PlanFile& p) {
  if (p.memory.states_gb <= 0) return "";
  return fmt::format(", states of {} sequences {:.1f}", p.max_running, p.memory.states_gb);
}

std::string no_fit_text(const PlanFile& p) {
  const PlanMemory& m = p.memory;
  const int64_t held = m.most_tokens(p.pipeline_parallel);
  if (held > 0) {
    return fmt::format(
        "  does not fit: a request has {} tokens at the 95th percentile (prompt and answer), and "
        "the KV cache holds {}{}; more devices, fewer bits, or a larger device\n",
        m.longest_tokens, held, p.pipeline_parallel > 1 ? " for each batch of the pipeline" : "");
  }
  return fmt::format("  does not fit: more devices, fewer bits, {}or a larger device\n",
                     m.states_gb > 0 ? "a smaller --max-running, " : "");
}

std::string memory_text(const PlanFile& p) {
  const PlanMemory& m = p.memory;
  std::string out = fmt::format(
      "  memory of a device: {:.1f} GB, of which {:.1f} for the engine: weights {:.1f}, "
      "activations {:.1f}{}, KV cache {:.1f}\n",
      m.device_gb, m.usable_gb, m.weights_gb, m.activations_gb, states_text(p), m.kv_gb);
  if (!m.fits) return out + no_fit_text(p);
  out += fmt::format("  KV cache: {:.0f} bytes a token, {} tokens in {} device{}\n",
                     m.kv_bytes_per_token, m.kv_tokens, p.devices(), p.devices() == 1 ? "" : "s");
  if (p.context_tokens < p.workload.context_tokens) {
    out += fmt::format(
        "  requests of more than {} tokens do not fit; the plan's longest is that, the context "
        "{}\n",
        p.context_tokens, p.workload.context_tokens);
  }
  return out;
}

// Fewer bits a weight are no faster arithmetic by themselves; a load that prefill bounds may then
// need more replicas than one in 8 bits.
std::string arithmetic_text(const PlanFile& p) {
  if (p.compute_type == "fp8" || p.compute_type == "int8" || p.compute_type == "fp4") {
    return fmt::format("  assumed: weights and activations are multiplied in {}\n", p.compute_type);
  }
  if (p.bits_per_weight > 9) return "";
  return fmt::format(
      "  assumed: weights of {:.3g} bits are expanded and multiplied in {}, so prefill is as fast "
      "as "
      "with 16-bit weights; --activations fp8, int8 or fp4 where the kernels multiply in fewer\n",
      p.bits_per_weight, p.compute_type);
}

std::string cost_text(const PlanReport& r) {
  const PlanFile& p = r.plan;
  if (p.high_usd_per_million <= 0 || p.low_usd_per_million <= 0 ||
      !r.request.device->price_usd_per_hour)
    return "";
  const auto& price = *r.request.device->price_usd_per_hour;
  return fmt::format(
      "  {:.2f} to {:.2f} USD a million generated tokens (a device {} to {} USD an hour, {})\n",
      p.low_usd_per_million, p.high_usd_per_million, price.high_usd, price.low_usd, price.date);
}

// Only where they are too few.
std::string machines_text(const PlanReport& r) {
  const MachineNeed need = machine_need(r);
  if (need.devices == 0 || std::max(need.pessimistic, need.optimistic) <= need.devices) return "";
  return fmt::format(
      "  more than the machines have: {} to {} devices are needed, and hardware.nodes x "
      "hardware.accelerators_per_node are {}\n",
      need.pessimistic, need.optimistic, need.devices);
}

std::string load_text(const PlanReport& r) {
  const PlanFile& p = r.plan;
  const bool objective = has_objective(p.slo);
  std::string out = row("", fmt::format("{:>12} to {:<12}", "pessimistic", "optimistic end"));
  if (p.high_alone && p.low_alone) {
    out += row("first token alone, median",
               range(p.low_alone->ttft_ms_p50, p.high_alone->ttft_ms_p50, "ms"));
    out += row("next token alone, median",
               range(p.low_alone->itl_ms_p50, p.high_alone->itl_ms_p50, "ms"));
  }
  if (!p.low && !p.high) {
    return out + (objective ? "  the SLO is missed even by requests alone\n"
                            : "  not even requests alone are carried\n");
  }
  const LoadPoint l = p.low.value_or(LoadPoint()), h = p.high.value_or(LoadPoint());
  out += row(objective ? "most load of a replica in the SLO" : "most load that a replica carries",
             range(l.rate_per_s, h.rate_per_s, "requests/s"));
  out += row("generated there", range(l.output_tok_s, h.output_tok_s, "tokens/s"));
  out += row("first token there, p95", range(l.ttft_ms_p95, h.ttft_ms_p95, "ms"));
  out += row("next token there, p95", range(l.itl_ms_p95, h.itl_ms_p95, "ms"));
  if (!objective)
    out += "  no objective is given (slo.ttft_ms_p95, slo.itl_ms_p95, slo.total_ms_p99)\n";
  out += fmt::format("  replicas for {:g} requests/s, {} of them spare: {} to {}\n",
                     p.workload.rate_per_s, p.spare,
                     p.replicas_high == 0 ? "cannot" : fmt::format("{}", p.replicas_high),
                     p.replicas_low == 0 ? "cannot" : fmt::format("{}", p.replicas_low));
  out += machines_text(r);
  if (p.max_queued > 0)
    out += fmt::format("  requests that may wait in a replica: {}\n", p.max_queued);
  return out + cost_text(r);
}

std::string remedy_text(const FailureOutcome& f) {
  if (f.load.meets_slo) return "";
  return f.spare_that_meets > 0
             ? fmt::format("; --spare {} meets it", f.spare_that_meets)
             : "; a few more spare replicas do not meet it: start faster (--cold-start) or take a "
               "load further below the most";
}

std::string fleet_text(const PlanReport& r) {
  std::string out;
  if (r.failure) {
    const FailureOutcome& f = *r.failure;
    out += fmt::format(
        "  while one replica of {} is down for {:.0f} s: TTFT p95 {} ms, ITL p95 {} ms, {} of {} "
        "requests begin anew; the SLO is {}{}\n",
        r.plan.replicas_high, f.down_s, plain(f.load.ttft_ms_p95), plain(f.load.itl_ms_p95),
        f.restarted, f.requests, f.load.meets_slo ? "met" : "missed", remedy_text(f));
  }
  if (r.disaggregated) {
    const DisaggregatedFleet& d = *r.disaggregated;
    out += fmt::format(
        "  prefill and decode apart: {} prefill and {} decode replicas (P:D {}:{}, spare ones not "
        "counted) beside {} that do both; TTFT p95 {} ms, ITL p95 {} ms, KV transfer of a median "
        "prompt {} ms; the SLO is {}\n",
        d.prefill_replicas, d.decode_replicas, d.prefill_replicas, d.decode_replicas,
        r.plan.replicas_high - r.plan.spare, plain(d.load.ttft_ms_p95), plain(d.load.itl_ms_p95),
        plain(d.transfer_ms), d.load.meets_slo ? "met" : "missed");
  } else if (r.asked_disaggregation) {
    out += "  prefill and decode apart: not even single requests meet the SLO\n";
  }
  if (r.autoscaled) {
    const AutoscaledFleet& a = *r.autoscaled;
    out += fmt::format(
        "  autoscaling: {} to {} replicas at {:g} waiting requests a replica, start {:.0f} s: "
        "{:.0f} % of the replica hours of a fixed fleet, TTFT p95 {} ms\n",
        a.rule.least, a.rule.most, a.rule.queued_per_replica, a.rule.cold_start_s,
        100 * a.replica_share, plain(a.load.ttft_ms_p95));
  } else if (r.asked_autoscaling) {
    out += "  autoscaling: no rule that was tried meets the SLO; keep the fleet at its size\n";
  }
  return out;
}

std::string sensitivity_text(const PlanSensitivity& s) {
  if (s.devices == 0) return "";
  std::string out =
      fmt::format("  what moves it most (devices; {:.3g} at the middle)\n", s.devices);
  const auto text = [](double v) { return v == 0 ? "cannot" : fmt::format("{:.3g}", v); };
  for (const SensitivityBar& b : s.bars) {
    out += fmt::format("    {:<30} {:>7}: {:>7}   {:>7}: {:>7}\n", b.input, b.low_text,
                       text(b.at_low), b.high_text, text(b.at_high));
  }
  return out;
}

const char* ends_text(const PlanRequest& request) {
  if (request.fitted && request.fitted_devices >= 0 && request.assumed_ends == 0)
    return "Ranges come from a fit to measurements and its error at loads that it was not fitted "
           "to.";
  if (request.fitted && request.fitted_devices >= 0) return "";
  if (request.fitted)
    return "Ranges are a hypothesis: the fit is of another model, accelerator or number of "
           "devices.";
  return "Ranges are a hypothesis: the device's rates times what engines usually reach, not fitted "
         "to measurements.";
}

}  // namespace

std::string head_text(const PlanRequest& request) {
  const ModelShape& s = request.shape;
  const Workload& w = request.workload;
  std::string out = fmt::format(
      "{}: {:.4g} billion weights of {:.4g} bits, {:.4g} billion active; {:g} requests/s{} of {:g} "
      "and {:g} tokens at the median\n",
      s.name.empty() ? s.architecture : s.name, s.parameters() / 1e9, s.bits_per_weight,
      s.active_parameters() / 1e9, w.rate_per_s,
      w.mean_per_s > 0 ? fmt::format(" at the peak ({:g} on average)", w.mean_per_s) : "",
      w.prompt_p50, w.output_p50);
  if (!request.from_intake.empty())
    out += fmt::format("From the intake: {}.\n", fmt::join(request.from_intake, ", "));
  const std::string_view ends = ends_text(request);
  if (!ends.empty()) return out + fmt::format("{}\n", ends);
  return out +
         fmt::format(
             "Ranges are a fit to measurements +- {:.0f} %, which is assumed: fewer than three "
             "loads leave none to hold the fit against.\n",
             100 * request.assumed_ends);
}

std::string plan_text(const PlanReport& r) {
  const PlanFile& p = r.plan;
  std::string out =
      fmt::format("\n{} × {} ({}; rates {})\n", devices_text(p), p.accelerator_name, p.compute_type,
                  p.accelerator == kThisMachine ? "measured now"
                  : p.rates_verified            ? "read at their sources"
                                                : "in part not read again: see the file");
  out += memory_text(p) + arithmetic_text(p);
  if (!p.memory.fits) return out;
  out += load_text(r) + fleet_text(r);
  if (r.sensitivity) out += sensitivity_text(*r.sensitivity);
  return out;
}

std::string what_if_text(const std::vector<PlanReport>& reports) {
  struct Line {
    const char* name;
    std::string (*of)(const PlanFile&);
  };
  static constexpr auto kNumber = [](double v) { return v == 0 ? std::string("-") : plain(v); };
  const Line lines[] = {
      {"devices of a replica", [](const PlanFile& p) { return fmt::format("{}", p.devices()); }},
      {"KV cache, tokens", [](const PlanFile& p) { return fmt::format("{}", p.memory.kv_tokens); }},
      {"most load, requests/s (low)",
       [](const PlanFile& p) { return kNumber(p.low ? p.low->rate_per_s : 0); }},
      {"most load, requests/s (high)",
       [](const PlanFile& p) { return kNumber(p.high ? p.high->rate_per_s : 0); }},
      {"first token alone, ms (low)",
       [](const PlanFile& p) { return kNumber(p.low_alone ? p.low_alone->ttft_ms_p50 : 0); }},
      {"next token alone, ms (low)",
       [](const PlanFile& p) { return kNumber(p.low_alone ? p.low_alone->itl_ms_p50 : 0); }},
      {"replicas (high end)", [](const PlanFile& p) { return kNumber(p.replicas_low); }},
      {"replicas (low end)", [](const PlanFile& p) { return kNumber(p.replicas_high); }},
      {"devices in all (low end)",
       [](const PlanFile& p) { return kNumber(p.replicas_high * p.devices()); }},
      {"USD / million tokens (low end)",
       [](const PlanFile& p) { return kNumber(p.low_usd_per_million); }}};
  std::string out = fmt::format("\n  {:<32}", "");
  for (const PlanReport& r : reports)
    out += fmt::format(" {:>24}", r.name.empty() ? "as planned" : r.name);
  out += "\n";
  for (const Line& line : lines) {
    out += fmt::format("  {:<32}", line.name);
    for (const PlanReport& r : reports) out += fmt::format(" {:>24}", line.of(r.plan));
    out += "\n";
  }
  return out;
}

std::string search_text(const SearchResult& result, size_t most_rows) {
  std::string out = fmt::format(
      "{} combinations: {} meet the objectives, {} hold too little, {} are too slow. Nothing beats "
      "those "
      "with * in cost (lowest published prices), those with + in power, and TTFT and ITL at "
      "once; weights of 4 bits that are no "
      "FP4 are multiplied in 16.\n  {:<28} {:>3} {:>5} {:>4} {:>8} {:>10} {:>10} {:>9} {:>8}  "
      "engine\n",
      result.tried, result.found.size(), result.too_small, result.too_slow, "accelerator", "N",
      "bits", "in", "replicas", "TTFT p95", "ITL p95", "USD/M tok", "kW");
  size_t rows = 0;
  for (const SearchFound& f : result.found) {
    if (!f.on_front && !f.on_power_front && rows >= most_rows) continue;
    ++rows;
    out += fmt::format("{}{} {:<27} {:>3} {:>5.3g} {:>4} {:>8} {:>7} ms {:>7} ms {:>9} {:>8}  {}\n",
                       f.on_front ? "*" : " ", f.on_power_front ? "+" : " ", f.accelerator->id,
                       f.devices, f.weights.bits, f.compute_type, f.replicas,
                       plain(f.load.ttft_ms_p95), plain(f.load.itl_ms_p95),
                       f.usd_per_million_output_tokens > 0
                           ? fmt::format("{:.2f}", f.usd_per_million_output_tokens)
                           : "-",
                       or_dash(f.kw), f.engine);
  }
  if (rows < result.found.size())
    out += fmt::format("   and {} more (--json has them all)\n", result.found.size() - rows);
  return out;
}

std::string validation_text(const Validation& v) {
  std::string out = fmt::format(
      "steps fitted to {} of the loads around the last: {:.3g} ms + {:.3g} a prompt token + {:.3g} "
      "a decode; half of them within {:.1f} %\n"
      "the engine carries about {:.3g} requests/s; {:.3g} million requests simulated a minute\n\n",
      v.fitted_steps, v.fit.costs.fixed_ms, v.fit.costs.prefill_token_ms,
      v.fit.costs.decode_token_ms, 100 * v.fit.median_error, v.most_per_s,
      v.simulated_per_minute * 1e-6);
  out += fmt::format("  {:>10} {:>9}  {:<14} {:>10} {:>10} {:>8}\n", "requests/s", "requests",
                     "figure", "predicted", "measured", "error");
  for (const ValidatedLoad& l : v.loads) {
    const auto line = [&](const char* name, double predicted, double measured) {
      out += fmt::format("  {:>10.3g} {:>9}  {:<14} {:>10.4g} {:>10.4g} {:>7.1f}%\n", l.rate_per_s,
                         l.requests, name, predicted, measured,
                         measured > 0 ? 100 * (predicted / measured - 1) : 0);
    };
    line("TTFT p50, ms", l.predicted.ttft_ms_p50, l.measured.ttft_ms_p50);
    line("TTFT p95, ms", l.predicted.ttft_ms_p95, l.measured.ttft_ms_p95);
    line("ITL p50, ms", l.predicted.itl_ms_p50, l.measured.itl_ms_p50);
    line("ITL p95, ms", l.predicted.itl_ms_p95, l.measured.itl_ms_p95);
    line("tokens/s", l.predicted.output_tok_s, l.measured.output_tok_s);
    if (l.disturbance() >= 1)
      out += fmt::format(
          "  {:>10} disturbed, in the quietest of {} attempts: others on the machine had {:.2f} of "
          "the engine's cores, what it carries changed by {:.0f} %\n",
          "", l.attempts, l.others_cores, 100 * l.drift);
  }
  return out + fmt::format("\nerror: median {:.1f} %, p95 {:.1f} %\n", 100 * v.median_error,
                           100 * v.p95_error);
}

}  // namespace weir::ops
