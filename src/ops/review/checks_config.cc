// Checks of what the files of the environment say, and of the audit log.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ops/release/history.h"
#include "ops/release/manifest.h"
#include "ops/review/checks.h"
#include "ops/sources/days.h"
#include "text/json.h"

namespace weir::ops {
namespace {

CheckOutcome fails(std::string found) { return {false, std::move(found), {}}; }
CheckOutcome passes(std::string found) { return {true, std::move(found), {}}; }

// What all checks of the configuration need first.
std::string config_problem(const ReviewInput& in) {
  const EnvConfig& config = in.candidate.config;
  if (!config.unread.empty()) return config.unread.front();
  if (config.engines.empty())
    return fmt::format("no file of envs/{} starts an engine that weir config check knows", in.env);
  return "";
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

bool contains_any(std::string_view text, const std::vector<std::string_view>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view w) { return text.find(w) != std::string_view::npos; });
}

}  // namespace

std::string first_finding(const EnvConfig& config, const ChecklistItem& item, bool errors) {
  for (const EngineUse& use : config.engines) {
    for (const Finding& f : use.call.findings) {
      const bool named =
          std::find(item.rules.begin(), item.rules.end(), f.rule) != item.rules.end();
      if (named || (errors && f.severity == Severity::kError))
        return fmt::format("{}:{}: {} [{}]; fix: {}", use.file, f.line, f.reason, f.rule, f.fix);
    }
  }
  return "";
}

CheckOutcome check_intake(const ReviewInput& in, const ChecklistItem& /*item*/) {
  std::vector<std::string> missing;
  for (const IntakeField* f : in.intake.missing()) missing.push_back(f->key.path);
  if (missing.empty()) return passes(fmt::format("{} fields are known", in.intake.values().size()));
  return fails(fmt::format("missing: {}", joined(missing)));
}

CheckOutcome check_pinned(const ReviewInput& in, const ChecklistItem& item) {
  const ReleaseModel& model = in.candidate.model;
  if (model.sha256.empty()) return fails(fmt::format("envs/{}/model.json is missing", in.env));
  if (!in.model_problem.empty()) return fails(in.model_problem);
  if (std::string problem = config_problem(in); !problem.empty()) return fails(std::move(problem));
  if (std::string f = first_finding(in.candidate.config, item, false); !f.empty())
    return fails(std::move(f));
  // Of a repository the engine fetches the commit; no file was hashed.
  if (model.bytes == 0)
    return passes(fmt::format("{} at commit {}…", model.name,
                              model.where.substr(model.where.rfind('@') + 1, 12)));
  return passes(fmt::format("{}, SHA-256 {}…", model.name, model.sha256.substr(0, 12)));
}

CheckOutcome check_limits(const ReviewInput& in, const ChecklistItem& item) {
  if (std::string problem = config_problem(in); !problem.empty()) return fails(std::move(problem));
  const EnvConfig& config = in.candidate.config;
  if (std::string f = first_finding(config, item, true); !f.empty()) return fails(std::move(f));
  const bool before = std::any_of(config.proxies.begin(), config.proxies.end(),
                                  [](const ProxyUse& p) { return p.bounds_requests; });
  std::vector<std::string> seen;
  for (const EngineUse& use : config.engines) {
    if (use.call.facts.is("role", "worker")) continue;
    const Fact* queued = use.call.facts.find("max_queued");
    if (queued == nullptr && !before)
      return fails(
          fmt::format("{}: nothing bounds the queue of {}, neither a flag nor a proxy's "
                      "limit_conn or maxconn",
                      use.file, use.call.engine));
    seen.push_back(fmt::format("{}: {} queue {}", use.file, use.call.engine,
                               queued == nullptr ? "bounded by the proxy" : queued->text));
  }
  return passes(joined(seen));
}

CheckOutcome check_retries(const ReviewInput& in, const ChecklistItem& item) {
  const EnvConfig& config = in.candidate.config;
  if (!config.unread.empty()) return fails(config.unread.front());
  const double most = item.number("max_attempts");
  std::vector<std::string> seen;
  for (const ProxyUse& p : config.proxies) {
    if (p.unbounded_retries)
      return fails(fmt::format("{}: {} tries every server of its group: bound it", p.file, p.kind));
    if (!p.attempts) continue;
    // HAProxy's own default counts one more: it retries connections that took no request.
    const double allowed = p.kind == "haproxy" ? most + 1 : most;
    if (static_cast<double>(*p.attempts) > allowed)
      return fails(fmt::format("{}: {} tries a request {} times, over {}", p.file, p.kind,
                               *p.attempts, allowed));
    seen.push_back(fmt::format("{}: {} attempts", p.file, *p.attempts));
  }
  if (const auto& r = config.policy.retries) {
    if (static_cast<double>(r->max_attempts) > most ||
        r->budget_share > item.number("budget_share"))
      return fails(fmt::format(
          "policy.yaml: {} attempts and retries of {:.0f} % of requests, over "
          "{:.0f} and {:.0f} %",
          r->max_attempts, r->budget_share * 100, most, item.number("budget_share") * 100));
    seen.push_back(fmt::format("policy.yaml: {} attempts, {:.0f} % of requests", r->max_attempts,
                               r->budget_share * 100));
  }
  if (seen.empty())
    return fails(
        fmt::format("neither envs/{}/policy.yaml nor a proxy says how often is tried", in.env));
  return passes(joined(seen));
}

CheckOutcome check_caches(const ReviewInput& in, const ChecklistItem& /*item*/) {
  if (std::string problem = config_problem(in); !problem.empty()) return fails(std::move(problem));
  const EnvConfig& config = in.candidate.config;
  std::vector<std::string> seen;
  const auto lasting = [&](const std::string& file, const std::string& name) -> std::string {
    const CachePolicy* policy = config.policy.cache(name);
    if (policy == nullptr)
      return fmt::format(
          "{}: the cache \"{}\" outlives a release, and policy.yaml does not say how "
          "it is emptied",
          file, name);
    seen.push_back(fmt::format(
        "{}: {}", name,
        policy->flush.empty() ? fmt::format("{:.4g} s", policy->ttl_s) : policy->flush));
    return "";
  };
  for (const ProxyUse& p : config.proxies) {
    if (!p.caches || p.cache_expires) continue;
    if (std::string problem = lasting(p.file, "responses"); !problem.empty())
      return fails(std::move(problem));
  }
  for (const EngineUse& use : config.engines) {
    const FactSet& facts = use.call.facts;
    for (const auto& [fact, name] :
         {std::pair("kv.snapshot", "snapshot"), std::pair("kv.tier_file", "tier"),
          std::pair("env.LMCACHE_CONFIG_FILE", "lmcache")}) {
      if (facts.find(fact) == nullptr) continue;
      if (std::string problem = lasting(use.file, name); !problem.empty())
        return fails(std::move(problem));
    }
    if (facts.is("prefix_cache", "true") || use.call.engine == "weir")
      seen.push_back(
          fmt::format("{}: prefix cache in memory, by tokens, gone with the process", use.file));
  }
  return passes(seen.empty() ? "no cache that outlives a request" : joined(seen));
}

CheckOutcome check_telemetry(const ReviewInput& in, const ChecklistItem& item) {
  if (std::string problem = config_problem(in); !problem.empty()) return fails(std::move(problem));
  const EnvConfig& config = in.candidate.config;
  if (std::string f = first_finding(config, item, false); !f.empty()) return fails(std::move(f));
  if (config.scrapes.empty())
    return fails(
        fmt::format("no file of envs/{} collects metrics: scrape_configs, a ServiceMonitor "
                    "or PodMonitor, or prometheus.io/scrape",
                    in.env));
  return passes(fmt::format("collected by {}", joined(config.scrapes)));
}

CheckOutcome check_alerts(const ReviewInput& in, const ChecklistItem& /*item*/) {
  const EnvConfig& config = in.candidate.config;
  if (!config.unread.empty()) return fails(config.unread.front());
  struct Kind {
    const char* name;
    std::vector<std::string_view> words;
    std::string alert;
  };
  std::array<Kind, 3> kinds = {
      Kind{"latency",
           {"time_to_first", "ttft", "inter_token", "itl", "latency", "duration_seconds"},
           ""},
      Kind{"errors", {"fail", "error", "5..", "request_success", "up{", "up ==", "absent("}, ""},
      Kind{"queues", {"waiting", "queue", "kv_cache", "kv_usage", "preempt", "reject"}, ""}};
  for (const AlertUse& a : config.alerts) {
    for (Kind& kind : kinds) {
      if (kind.alert.empty() && contains_any(a.expr, kind.words)) kind.alert = a.name;
    }
  }
  std::vector<std::string> seen;
  for (const Kind& kind : kinds) {
    if (kind.alert.empty())
      return fails(fmt::format("no alert of envs/{} is about {} ({} alerts were read)", in.env,
                               kind.name, config.alerts.size()));
    seen.push_back(fmt::format("{}: {}", kind.name, kind.alert));
  }
  return passes(joined(seen));
}

CheckOutcome check_security(const ReviewInput& in, const ChecklistItem& item) {
  if (std::string problem = config_problem(in); !problem.empty()) return fails(std::move(problem));
  const EnvConfig& config = in.candidate.config;
  if (std::string f = first_finding(config, item, false); !f.empty()) return fails(std::move(f));
  std::vector<std::string> seen;
  for (const EngineUse& use : config.engines) {
    const FactSet& facts = use.call.facts;
    const bool loopback = facts.is("exposed", "false") && !facts.is("in_cluster", "true");
    const bool key = facts.find("api_key") != nullptr;
    std::string why;
    const std::string closed = config.closed_by(use, why);
    const std::string tls = config.tls_of(use);
    if (!loopback && !key && closed.empty())
      return fails(fmt::format("{}: whoever reaches {} may use it: no key, and {}", use.file,
                               use.call.engine, why));
    if (!loopback && closed.empty() && tls.empty())
      return fails(
          fmt::format("{}: {} is reached in clear: no TLS of its own or before it in "
                      "envs/{}, and {}",
                      use.file, use.call.engine, in.env, why));
    seen.push_back(fmt::format("{}: {}", use.file,
                               loopback ? "this machine only"
                               : key    ? "a key"
                               : tls.empty()
                                   ? fmt::format("the NetworkPolicy of {}", closed)
                                   : fmt::format("the NetworkPolicy of {}, TLS: {}", closed, tls)));
    if (key && !loopback) seen.back() += closed.empty() ? ", TLS: " + tls : ", " + closed;
  }
  return passes(joined(seen));
}

namespace {

// What a rehearsal's row says of it.
CheckOutcome judge_drill(const ReviewInput& in, const AuditRow& drill) {
  const auto details = text::Json::parse(drill.details);
  const auto member = [&](const char* name) {
    return details.ok() ? details->find(name) : nullptr;
  };
  const text::Json* seconds = member("seconds");
  const text::Json* checked = member("model_checked");
  const text::Json* bytes = member("model_bytes");
  const text::Json* from = member("from");
  const auto minutes = in.intake.number("constraints.rollback_minutes");
  if (seconds == nullptr || !seconds->is_number())
    return fails(fmt::format("row {} does not say how long it took", drill.seq));
  if (minutes && seconds->as_double() > *minutes * 60)
    return fails(fmt::format("row {}: {:.1f} s, over constraints.rollback_minutes of {:.4g}",
                             drill.seq, seconds->as_double(), *minutes));
  const bool repository = bytes != nullptr && bytes->is_int() && bytes->as_int() == 0;
  const bool model = checked != nullptr && checked->is_bool() && checked->as_bool();
  if (!model && !repository)
    return fails(
        fmt::format("row {}: the model was not checked: rehearse without --skip-model", drill.seq));
  if (from == nullptr || !from->is_string() || from->as_string() != drill.release)
    return passes(fmt::format("row {}: back to {} in {:.2f} s", drill.seq, short_id(drill.release),
                              seconds->as_double()));
  if (last_good(in.log, in.env))
    return fails(
        fmt::format("row {}: it went back to the release in effect itself: rehearse "
                    "without --to",
                    drill.seq));
  return passes(
      fmt::format("row {}: first release: nothing to go back to; {} restored itself in "
                  "{:.2f} s",
                  drill.seq, short_id(drill.release), seconds->as_double()));
}

}  // namespace

CheckOutcome check_rollback(const ReviewInput& in, const ChecklistItem& /*item*/) {
  if (!in.log_problems.empty())
    return fails(fmt::format("the audit log: {}", in.log_problems.front()));
  const AuditRow* drill = nullptr;
  bool in_effect = false;
  for (const AuditRow& row : in.log) {
    if (row.env != in.env) continue;
    if (row.action == kActInEffect) {
      in_effect = true;
      drill = nullptr;  // of the release before
    }
    if (row.action == kActRehearsal) drill = &row;
  }
  if (!in_effect)
    return fails(fmt::format("no release is in effect in {0}: weir promote --to {0}, then rehearse",
                             in.env));
  if (drill == nullptr)
    return fails(fmt::format("no rehearsal in {} since its release came into effect", in.env));
  const int64_t days = (in.now_s - drill->unix_s) / kDayS;
  if (days > in.max_age_days)
    return fails(fmt::format("the rehearsal (row {}) is {} days old", drill->seq, days));
  return judge_drill(in, *drill);
}

Check find_check(std::string_view id) {
  static constexpr std::pair<std::string_view, Check> kChecks[] = {
      {"intake", check_intake},     {"pinned", check_pinned},
      {"baseline", check_baseline}, {"slo", check_slo},
      {"overload", check_overload}, {"limits", check_limits},
      {"retries", check_retries},   {"caches", check_caches},
      {"quality", check_quality},   {"telemetry", check_telemetry},
      {"alerts", check_alerts},     {"security", check_security},
      {"rollback", check_rollback}};
  for (const auto& [name, check] : kChecks) {
    if (name == id) return check;
  }
  return nullptr;
}

}  // namespace weir::ops
