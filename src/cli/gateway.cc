// weir gateway: one door in front of a fleet of servers.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>

#include "base/clock.h"
#include "cli/gateway_reload.h"
#include "cli/ops_commands.h"
#include "config/problems.h"
#include "gateway/gateway.h"
#include "gateway/opening.h"
#include "gateway/opening_checks.h"
#include "gateway/release_shares.h"
#include "os/limits.h"
#include "os/signals.h"
#include "telemetry/log.h"

namespace weir::cli {
namespace {

// For the last words to those whose answers were cut short.
constexpr std::chrono::milliseconds kFarewell{500};

struct GatewayOptions {
  std::string file;
  std::string log_level = "info";
  std::string log_format = "text";
  bool check = false;
  bool json = false;
};

// Whether everything had its answer in time, and before a second signal.
Result<bool> drained(std::chrono::milliseconds left, os::Signals& signals, gateway::Gateway& g) {
  constexpr std::chrono::milliseconds kSlice{100};
  while (true) {
    if (g.wait_drained(std::min(left, kSlice))) return true;
    left -= std::min(left, kSlice);
    WEIR_ASSIGN(const std::optional<int> again, signals.wait(0));
    if ((again.has_value() && again != SIGHUP) || left.count() == 0) return false;
  }
}

// The file and all that a start reads beside it, for a start and for --check, which so trip over
// the same. What is wrong is told to `problems`, what is doubtful to `warnings`.
std::optional<gateway::GatewayConfig> read_all(config::Problems& problems,
                                               std::vector<std::string>& warnings) {
  auto config = gateway::read_gateway_config(environment_variable, problems);
  if (!config.has_value()) return config;
  gateway::check_folders(*config, problems);
  warnings = gateway::check_opening(*config, problems);
  const std::vector<std::string> doubtful = gateway::doubtful_prices(*config, days_since_1970());
  warnings.insert(warnings.end(), doubtful.begin(), doubtful.end());
  return config;
}

Result<int> check(const GatewayOptions& o) {
  config::Problems problems(o.file);
  std::vector<std::string> warnings;
  const auto config = read_all(problems, warnings);
  if (!problems.empty()) {
    if (!o.json) return problems.error();
    fmt::print("{}\n", gateway::problems_json(problems));
    return exit_code(problems.error().code);
  }
  if (o.json) {
    fmt::print("{}\n", gateway::describe_json(*config, o.file, warnings));
    return kExitOk;
  }
  fmt::print("{}: good\n{}", o.file, gateway::describe(*config));
  for (const std::string& warning : warnings) fmt::print("warning: {}\n", warning);
  return kExitOk;
}

Result<int> run_gateway(const GatewayOptions& o) {
  if (o.check) return check(o);
  config::Problems problems(o.file);
  std::vector<std::string> warnings;
  auto read = read_all(problems, warnings);
  if (!problems.empty()) return problems.error();
  gateway::GatewayConfig config = std::move(*read);
  telemetry::LogOptions log_options;
  WEIR_ASSIGN(log_options.level, telemetry::parse_log_level(o.log_level));
  if (o.log_format == "json") log_options.format = telemetry::LogFormat::kJson;
  WEIR_ASSIGN(os::Signals signals, os::Signals::block({SIGTERM, SIGINT, SIGHUP}));
  os::ignore_sigpipe();
  os::raise_descriptor_limit();
  telemetry::Logger log(log_options);
  for (const std::string& warning : warnings) log.warn("config", {{"warning", warning}});
  for (const gateway::ModelConfig& m : config.models)
    if (const std::string shares = gateway::shares_text(m); !shares.empty())
      log.info("releases_share", {{"model", m.name}, {"shares", shares}});
  std::random_device entropy;
  const uint64_t seed = (uint64_t{entropy()} << 32) | entropy();
  const SystemClock clock;
  const std::string host = config.host;
  const auto drain_time = std::chrono::seconds(config.drain_timeout_s);
  GatewayReload reload(o.file, log);
  auto started = gateway::Gateway::start(std::move(config), clock, log, seed, {},
                                         [&reload] { return reload.run(); });
  if (!started.ok()) {
    if (started.error().code != ErrorCode::kIo) return started.error();
    fmt::print(stderr, "weir: {}\n", started.error().message);
    return kExitUnavailable;
  }
  gateway::Gateway& g = **started;
  reload.attach(g);
  if (g.admin_port() != 0) fmt::print("weir: admin port {}\n", g.admin_port());
  fmt::print("weir: ready http://{}:{}\n", host, g.port());
  std::fflush(stdout);
  std::optional<int> signal;
  while (!signal.has_value() || signal == SIGHUP) {
    WEIR_ASSIGN(signal, signals.wait(-1));
    if (signal == SIGHUP) (void)reload.run();  // it has said what came of it
  }
  log.info("signal", {{"number", signal.value_or(0)}});
  g.drain();
  WEIR_ASSIGN(const bool in_time, drained(drain_time, signals, g));
  if (!in_time) {
    log.warn("drain_cut_short", {{"drain_timeout_s", drain_time.count()}});
    g.cut_short();
    g.wait_drained(kFarewell);
  }
  g.stop();
  return kExitOk;
}

}  // namespace

void add_gateway(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<GatewayOptions>();  // shared: the parser's callbacks outlive this call
  CLI::App* c = add_command(root, "gateway", "One door in front of a fleet of servers",
                            "  weir gateway gateway.yaml --check\n"
                            "  weir gateway gateway.yaml --check --json\n"
                            "  weir gateway gateway.yaml\n");
  c->add_option("FILE", o->file, "The configuration: listen, upstreams, models")->required();
  CLI::Option* check =
      c->add_flag("--check", o->check, "Read the file, say what would be served, and end");
  c->add_flag("--json", o->json, "What --check says, as one JSON document")->needs(check);
  c->add_option("--log-level", o->log_level, "debug, info, warn or error")->capture_default_str();
  c->add_option("--log-format", o->log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  c->callback([o, &selected] { selected.action = [o] { return run_gateway(*o); }; });
}

}  // namespace weir::cli
