// Checks of what was measured: load and quality.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "ops/review/checks.h"
#include "ops/review/served_model.h"
#include "ops/sources/days.h"
#include "plot/text.h"

namespace weir::ops {
namespace {

constexpr int64_t kClockSkewS = 300;
constexpr double kSameLoad = 0.05;  // runs within this share of a load are of that load
constexpr size_t kMostReasons = 4;  // that are told why reports do not count

CheckOutcome fails(std::string found) { return {false, std::move(found), {}}; }

// "" when the report counts as evidence for the candidate; else why not.
std::string age_problem(const ReviewInput& in, const Evidence& e) {
  if (e.created_s > in.now_s + kClockSkewS)
    return fmt::format("{} is of {}, which is still to come", e.file, time_of(e.created_s));
  const int64_t days = (in.now_s - e.created_s) / kDayS;
  if (days <= in.max_age_days) return "";
  return fmt::format("{} is {} days old, over {}", e.file, days, in.max_age_days);
}

// "" when what was measured goes by a name that the configuration serves.
std::string name_problem(const ReviewInput& in, const Evidence& e) {
  std::vector<std::string> served;
  for (const EngineUse& use : in.candidate.config.engines) {
    if (use.call.facts.is("role", "worker")) continue;
    const std::vector<std::string> names = served_names(use);
    if (names.empty()) return "";
    for (const std::string& name : names) {
      if (same_model_name(name, e.model)) return "";
      served.push_back(name);
    }
  }
  if (served.empty()) return "";
  return fmt::format("{} measured a server of \"{}\", and envs/{} serves \"{}\"", e.file, e.model,
                     in.env, fmt::join(served, "\", \""));
}

std::string load_problem(const ReviewInput& in, const Evidence& e) {
  const Candidate& c = in.candidate;
  if (e.subject.model_sha256.empty() || e.subject.config_sha256.empty())
    return fmt::format("{} does not say of which candidate it is (--project and --env)", e.file);
  if (e.subject.model_sha256 != c.model.sha256)
    return fmt::format("{} is of another model", e.file);
  if (e.subject.config_sha256 != c.config_sha256)
    return fmt::format("{} is of another configuration", e.file);
  if (std::string other = name_problem(in, e); !other.empty()) return other;
  return age_problem(in, e);
}

// Of one replica group as measured: the planned load of as many replicas.
double planned(double whole, const ReviewInput& in, const Evidence& e) {
  return whole / std::max(1.0, in.load.replicas) * static_cast<double>(e.subject.replicas);
}

// The load of a run over the planned one; 0 where that is not known.
double load_share(const ReviewInput& in, const Evidence& e, const LoadRunEvidence& run) {
  const bool open = run.offered_per_s > 0;
  const double wanted = planned(open ? in.load.requests_per_s : in.load.concurrency, in, e);
  const double is = open ? run.offered_per_s : static_cast<double>(run.concurrency);
  return wanted > 0 ? is / wanted : 0;
}

std::string load_text(const LoadRunEvidence& run) {
  return run.offered_per_s > 0 ? plot::number_text(run.offered_per_s) + " requests/s"
                               : fmt::format("{} concurrent", run.concurrency);
}

std::string planned_text(const ReviewInput& in) {
  return fmt::format("planned ({}): {} requests/s, {} concurrent, {} replicas", in.load.source,
                     plot::number_text(in.load.requests_per_s),
                     plot::number_text(in.load.concurrency), plot::number_text(in.load.replicas));
}

using Fits = std::function<std::string(const Evidence&, const LoadRunEvidence&)>;
using Judge = std::function<std::string(const Evidence&, const LoadRunEvidence&, std::string&)>;

// Of runs that fit, those that decide: all, or where a load is asked for all up to that load (or up
// to the run nearest it): a run above it that fails proves nothing.
std::vector<const LoadRunEvidence*> deciding(const ReviewInput& in, const Evidence& e,
                                             std::vector<const LoadRunEvidence*> fitting,
                                             bool up_to_load) {
  const auto off = [&](const LoadRunEvidence* run) {
    return std::abs(load_share(in, e, *run) - 1);
  };
  std::stable_sort(fitting.begin(), fitting.end(),
                   [&](const auto* a, const auto* b) { return off(a) < off(b); });
  if (fitting.empty() || !up_to_load) return fitting;
  const double most = 1 + std::max(kSameLoad, off(fitting.front()));
  std::erase_if(fitting, [&](const auto* run) { return load_share(in, e, *run) > most; });
  return fitting;
}

// fits, judge: "" when the run is of the load that is asked for, and when it proves the item; else
// why not. Newest report first; the first that has a run which fits decides, and all of its
// deciding runs must pass, so that a bad run is outvoted neither by an older good one nor by one
// beside it. What is found is told of the run nearest the load.
CheckOutcome judge_loads(const ReviewInput& in, const std::string& nothing, bool up_to_load,
                         const Fits& fits, const Judge& judge) {
  if (in.candidate.model.sha256.empty())
    return fails(
        fmt::format("envs/{}/model.json is missing: no report can be of this candidate", in.env));
  std::vector<std::string> why;
  const auto note = [&](std::string text) {
    if (why.size() < kMostReasons) why.push_back(std::move(text));
  };
  for (const Evidence& e : in.evidence) {
    if (e.kind != EvidenceKind::kLoad) continue;
    if (std::string problem = load_problem(in, e); !problem.empty()) {
      note(std::move(problem));
      continue;
    }
    std::vector<const LoadRunEvidence*> fitting;
    for (const LoadRunEvidence& run : e.runs) {
      std::string misfit = fits(e, run);
      if (misfit.empty()) fitting.push_back(&run);
      if (!misfit.empty()) note(std::move(misfit));
    }
    CheckOutcome out{true, "", {e.file}};
    for (const LoadRunEvidence* run : deciding(in, e, std::move(fitting), up_to_load)) {
      std::string found;
      if (std::string problem = judge(e, *run, found); !problem.empty())
        return fails(std::move(problem));
      if (out.found.empty()) out.found = std::move(found);
    }
    if (!out.found.empty()) return out;
  }
  if (why.empty()) why = in.unread;
  if (why.size() > kMostReasons) why.resize(kMostReasons);
  return fails(why.empty() ? nothing : fmt::format("{}: {}", nothing, fmt::join(why, "; ")));
}

// "p95 TTFT 120 ms of 500"; a problem where it is above, or not known.
std::string bound(std::string_view name, double value, const std::optional<double>& most,
                  std::string& found) {
  if (!most) return fmt::format("intake.yaml has no bound for {}", name);
  if (std::isnan(value)) return fmt::format("{} was not measured", name);
  if (value > *most)
    return fmt::format("{} {} is over {}", name, plot::ms_text(value), plot::ms_text(*most));
  found += fmt::format("{}{} {} of {}", found.empty() ? "" : ", ", name, plot::ms_text(value),
                       plot::ms_text(*most));
  return "";
}

std::string latency_problem(const ReviewInput& in, const LoadRunEvidence& run, bool total,
                            std::string& found) {
  std::string problem;
  if (in.intake.flag("traffic.streaming").value_or(true)) {
    problem = bound("p95 TTFT", run.ttft_p95_ms, in.intake.number("slo.ttft_ms_p95"), found);
    if (problem.empty())
      problem = bound("p95 ITL", run.itl_p95_ms, in.intake.number("slo.itl_ms_p95"), found);
  }
  if (problem.empty() && total)
    problem = bound("p99 total", run.e2e_p99_ms, in.intake.number("slo.total_ms_p99"), found);
  return problem;
}

double share(int64_t part, int64_t of) {
  return of > 0 ? static_cast<double>(part) / static_cast<double>(of) : 1;
}

std::string lengths_problem(const ReviewInput& in, const Evidence& e, const LoadRunEvidence& run,
                            double least) {
  const auto check = [&](const char* field, int64_t tokens, const char* what) -> std::string {
    const auto median = in.intake.number(field);
    const double mean = share(tokens, run.ok);
    if (!median || mean >= *median * least) return "";
    return fmt::format("{}: {} of {} tokens on average, and {} is {}", e.file, what,
                       plot::number_text(mean), field, plot::number_text(*median));
  };
  std::string problem = check("traffic.prompt_tokens_p50", run.prompt_tokens, "prompts");
  return problem.empty() ? check("traffic.output_tokens_p50", run.output_tokens, "answers")
                         : problem;
}

}  // namespace

CheckOutcome check_baseline(const ReviewInput& in, const ChecklistItem& item) {
  const double within = item.number("within");
  const auto fits = [&](const Evidence& e, const LoadRunEvidence& run) -> std::string {
    const double load = load_share(in, e, run);
    if (load < 1 - within || load > 1 + within)
      return fmt::format("{}: {} is not within {:.0f} % of the load; {}", e.file, load_text(run),
                         within * 100, planned_text(in));
    return "";
  };
  const auto judge = [&](const Evidence& e, const LoadRunEvidence& run,
                         std::string& found) -> std::string {
    if (static_cast<double>(run.requests) < item.number("least_requests"))
      return fmt::format("{}: {} requests are fewer than {:.0f}", e.file, run.requests,
                         item.number("least_requests"));
    const bool single = planned(in.load.concurrency, in, e) < 2;
    if (run.peak_in_flight < 2 && !single)
      return fmt::format("{}: never more than one request was under way", e.file);
    found = fmt::format("{}: {}, {} requests, up to {} at once; {}", e.file, load_text(run),
                        run.requests, run.peak_in_flight, planned_text(in));
    return lengths_problem(in, e, run, item.number("least_length_share"));
  };
  return judge_loads(in, "no report in evidence/ is of this load", false, fits, judge);
}

CheckOutcome check_slo(const ReviewInput& in, const ChecklistItem& item) {
  const auto fits = [&](const Evidence& e, const LoadRunEvidence& run) -> std::string {
    const double load = load_share(in, e, run);
    // Far above the load is a trial of overload, which has its own item.
    if (load < item.number("least_load_share") || load > 1.5)
      return fmt::format("{}: {} is not the planned load; {}", e.file, load_text(run),
                         planned_text(in));
    if (static_cast<double>(run.requests) < item.number("least_requests"))
      return fmt::format("{}: {} requests are fewer than {:.0f}, which a p99 needs", e.file,
                         run.requests, item.number("least_requests"));
    return "";
  };
  const auto judge = [&](const Evidence& e, const LoadRunEvidence& run,
                         std::string& found) -> std::string {
    std::string problem = latency_problem(in, run, true, found);
    const double missed = share(run.failed + run.refused, run.requests);
    const auto budget = in.intake.number("slo.error_budget");
    if (problem.empty() && !budget) problem = "intake.yaml has no slo.error_budget";
    if (problem.empty() && missed > *budget)
      problem = fmt::format("{:.2f} % of requests failed or were refused, over {:.2f} %",
                            missed * 100, *budget * 100);
    found =
        fmt::format("{}, at {}: {}; {:.2f} % failed", e.file, load_text(run), found, missed * 100);
    if (problem.empty()) return lengths_problem(in, e, run, item.number("least_length_share"));
    return fmt::format("{}, at {}: {}", e.file, load_text(run), problem);
  };
  return judge_loads(in, "no report in evidence/ shows the SLO under the planned load", true, fits,
                     judge);
}

CheckOutcome check_overload(const ReviewInput& in, const ChecklistItem& item) {
  const double over = item.number("over");
  const auto fits = [&](const Evidence& e, const LoadRunEvidence& run) -> std::string {
    if (run.offered_per_s <= 0)
      return fmt::format("{}: users who wait for their answers ({}) do not overload: use --rate",
                         e.file, load_text(run));
    if (run.offered_per_s < over * run.ok_per_s || load_share(in, e, run) < 1)
      return fmt::format("{}: {} is not above capacity ({} a second were answered)", e.file,
                         load_text(run), plot::number_text(run.ok_per_s));
    return "";
  };
  const auto judge = [&](const Evidence& e, const LoadRunEvidence& run,
                         std::string& found) -> std::string {
    const auto bad = [&](std::string_view why) {
      return fmt::format("{}, at {}: {}", e.file, load_text(run), why);
    };
    if (static_cast<double>(run.requests) < item.number("least_requests"))
      return bad(fmt::format("{} requests are fewer than {:.0f}", run.requests,
                             item.number("least_requests")));
    if (run.refused == 0) return bad("nothing was refused: the queue has no bound that holds");
    const double failed = share(run.failed, run.requests);
    if (failed > in.intake.number("slo.error_budget").value_or(0))
      return bad(fmt::format("{:.2f} % failed instead of being refused", failed * 100));
    std::string within;
    if (std::string problem = latency_problem(in, run, false, within); !problem.empty())
      return bad("of those accepted the " + problem);
    if (!(run.refusal_p95_ms <= item.number("refusal_ms")))
      return bad(fmt::format("refusals took {} at p95, over {}", plot::ms_text(run.refusal_p95_ms),
                             plot::ms_text(item.number("refusal_ms"))));
    found = fmt::format("{}, at {}: {} of {} refused in {} (p95); of the others {}", e.file,
                        load_text(run), run.refused, run.requests,
                        plot::ms_text(run.refusal_p95_ms), within);
    return lengths_problem(in, e, run, item.number("least_length_share"));
  };
  return judge_loads(in, "no report in evidence/ is of a load above capacity", false, fits, judge);
}

CheckOutcome check_quality(const ReviewInput& in, const ChecklistItem& /*item*/) {
  const Candidate& c = in.candidate;
  if (c.model.sha256.empty())
    return fails(fmt::format("envs/{}/model.json is missing: what changed is not known", in.env));
  if (in.in_effect && in.in_effect->model.sha256 == c.model.sha256 &&
      in.in_effect->numerics == c.config.numerics()) {
    return {true, "model, engine and types are those of the release in effect", {}};
  }
  const std::string precision = in.intake.text("model.precision").value_or("");
  const bool whole = precision == "bf16" || precision == "f16" || precision == "f32";
  const std::string numerics = c.config.numerics();
  const bool types = numerics.find("kv_dtype=fp8") != std::string::npos ||
                     numerics.find("kv_dtype=int") != std::string::npos ||
                     numerics.find("quantization=") != std::string::npos ||
                     numerics.find("=q") != std::string::npos;
  if (!in.in_effect && whole && !types && in.quantized.empty())
    return {true, fmt::format("a first release in {}, nothing is quantized", precision), {}};
  std::string why = "no gate result in evidence/ is of this candidate";
  if (!in.quantized.empty()) why += fmt::format(", whose file is quantized to {}", in.quantized);
  for (const Evidence& e : in.evidence) {
    if (e.kind != EvidenceKind::kGate) continue;
    if (e.subject.model_sha256 != c.model.sha256 ||
        e.subject.numerics_sha256 != c.numerics_sha256()) {
      why = fmt::format("{} is of another model, engine or type", e.file);
      continue;
    }
    if (std::string problem = age_problem(in, e); !problem.empty()) {
      why = std::move(problem);
      continue;
    }
    if (e.verdict != "pass") return fails(fmt::format("{}: the gate says {}", e.file, e.verdict));
    return {true, fmt::format("{}: the gate passed against {}", e.file, e.base), {e.file}};
  }
  return fails(std::move(why));
}

}  // namespace weir::ops
