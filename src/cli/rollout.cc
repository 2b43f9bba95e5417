// weir rollout: traffic shifted to a release by steps, taken back when it burns the error budget.
#include "ops/rollout/rollout.h"

#include <fmt/format.h>

#include <csignal>
#include <memory>
#include <string>

#include "cli/ops_commands.h"
#include "cli/release_session.h"
#include "cli/subject.h"
#include "http/url.h"
#include "os/signals.h"
#include "text/json.h"

namespace weir::cli {
namespace {

constexpr int kLogTries = 10;

struct Options : ReleaseOptions {
  std::string env = "prod";  // for the log
  std::string gateway;
  std::string token;
  std::string release;
  std::string steps = "1,5,25,50,100";
  std::string interval = "60s";
  ops::RolloutRules rules;
  bool yes_remote = false;
  bool json = false;
};

void tell(const Options& o, const ops::RolloutEvent& e) {
  if (!o.json) {
    fmt::print("{:>3} %  {:<5}  {}\n", e.per_cent, ops::move_name(e.decision.move), e.decision.why);
  } else {
    text::Json j = text::Json::object();
    j.set("per_cent", e.per_cent);
    j.set("move", ops::move_name(e.decision.move));
    j.set("why", e.decision.why);
    j.set("requests", e.reading ? text::Json(e.reading->requests) : text::Json());
    j.set("burn_rate",
          e.reading && e.reading->burn_rate ? text::Json(*e.reading->burn_rate) : text::Json());
    fmt::print("{}\n", j.dump());
  }
  std::fflush(stdout);
}

// A row of the audit log; the lock is held for it alone, so that a rollback need not wait.
Status log_rollout(const Options& o, text::Json details) {
  if (o.folder.empty()) return {};
  WEIR_ASSIGN(ReleaseSession s, begin_release(o));
  details.set("gateway", o.gateway);
  ops::AuditRow row;
  row.unix_s = s.actor.unix_s;
  row.who = s.actor.who;
  row.action = ops::kActRollout;
  row.env = o.env;
  row.release = o.release;
  row.details = details.dump();
  WEIR_TRY(s.log.append(std::move(row), s.key));
  return {};
}

Status log_start(const Options& o) {
  text::Json details = text::Json::object();
  details.set("begins", true);
  details.set("steps", o.steps);
  details.set("interval", o.interval);
  return log_rollout(o, std::move(details));
}

// The rollout is over: what cannot be written down is told, and tried again while another command
// holds the lock.
void log_end(const Options& o, const Result<ops::RolloutResult>& result,
             const std::function<bool(double)>& wait) {
  text::Json details = text::Json::object();
  details.set("begins", false);
  details.set("done", result.ok() && result->done);
  details.set("why", result.ok() ? result->why : result.error().message);
  Status status = log_rollout(o, details);
  for (int i = 0; i < kLogTries && !status.ok() && status.error().code == ErrorCode::kIo; ++i) {
    wait(1);
    status = log_rollout(o, details);
  }
  if (!status.ok())
    fmt::print(stderr, "weir: the end of the rollout is not in the log: {}\n",
               status.error().message);
}

Result<int> rollout(const Options& o) {
  // A terminal that is closed must not leave the traffic where it is.
  WEIR_ASSIGN(os::Signals signals, os::Signals::block({SIGINT, SIGTERM, SIGHUP}));
  os::ignore_sigpipe();
  if (!o.folder.empty()) WEIR_TRY(check_environment("--env", o.env));
  ops::RolloutRules rules = o.rules;
  WEIR_ASSIGN(rules.steps, ops::parse_steps(o.steps));
  WEIR_ASSIGN(rules.interval_s, ops::parse_interval(o.interval));
  WEIR_ASSIGN(const http::Url url, http::parse_url(o.gateway));
  if (!http::is_loopback(url.host) && !o.yes_remote)
    return make_error(ErrorCode::kUsage,
                      "{} is another machine, and the token goes there in clear: through a tunnel, "
                      "or --yes-remote on a network that you trust",
                      url.host);
  WEIR_ASSIGN(const auto gateway, ops::http_gateway_admin(o.gateway, o.token));
  const auto wait = [&](double seconds) {
    const auto signal = signals.wait(static_cast<int>(seconds * 1000));
    return signal.ok() && !signal->has_value();
  };
  WEIR_TRY(log_start(o));
  auto result = ops::run_rollout(*gateway, rules, o.release, wait,
                                 [&](const ops::RolloutEvent& e) { tell(o, e); });
  log_end(o, result, wait);
  if (!result.ok() && result.error().code == ErrorCode::kIo) {
    fmt::print(stderr, "weir: {}\n", result.error().message);
    return kExitUnavailable;
  }
  if (!result.ok()) return result.error();
  if (o.json) {
    text::Json j = text::Json::object();
    j.set("done", result->done);
    j.set("release", o.release);
    j.set("stable", result->stable);
    j.set("why", result->why);
    fmt::print("{}\n", j.dump());
  } else if (result->done) {
    fmt::print("all traffic goes to {}\n", o.release);
  } else {
    fmt::print("taken back: the weights are as before ({}): {}\n",
               ops::weights_text(result->before), result->why);
  }
  return result->done ? kExitOk : kExitNo;
}

}  // namespace

void add_rollout(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  o->folder.clear();
  CLI::App* c = add_command(
      root, "rollout",
      "Shift traffic to a release by steps; take it back when it burns the error budget",
      "  weir rollout --gateway http://127.0.0.1:9090 --release 4f1d20c2ab10 --steps 1,5,25,50,100 "
      "--interval 60s --slo-burn 2\n"
      "The gateway's admin listener must have GET /admin/rollout and PUT /admin/rollout/weights "
      "(docs/OPS.md).\n");
  c->add_option("--gateway", o->gateway, "its admin listener; http:// only")->required();
  c->add_option("--token", o->token, "of the admin listener (default: $WEIR_ADMIN_TOKEN)")
      ->envname("WEIR_ADMIN_TOKEN");
  c->add_option("--release", o->release, "as the gateway calls it")->required();
  c->add_option("--steps", o->steps, "per cents of the traffic")->capture_default_str();
  c->add_option("--interval", o->interval, "of a step")->capture_default_str();
  c->add_option("--slo-burn", o->rules.most_burn,
                "burn rate above which it is taken back (1: the error budget lasts its period)")
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str();
  c->add_option("--least-requests", o->rules.least_requests,
                "requests of the release in an interval that a step goes on with")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000}))
      ->capture_default_str();
  c->add_option("--most-holds", o->rules.most_holds,
                "intervals that a step waits for them; then it is taken back")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  c->add_option("--project", o->folder, "write start and end into its audit log (with --key)");
  c->add_option("--env", o->env, "for the log")->capture_default_str();
  add_key_option(c, *o);
  add_who_option(c, *o);
  c->add_flag("--yes-remote", o->yes_remote, "the gateway may be another machine");
  c->add_flag("--json", o->json, "a JSON line for each interval, and one at the end");
  c->callback([o, &selected] { selected.action = [o] { return rollout(*o); }; });
}

}  // namespace weir::cli
