// weir bench mock: a server without a model.
#include <fmt/format.h>

#include <csignal>
#include <memory>

#include "bench/mock/mock_server.h"
#include "cli/command.h"
#include "os/limits.h"
#include "os/signals.h"

namespace weir::cli {
namespace {

Result<int> bench_mock(const bench::MockOptions& o) {
  // Before any thread starts, so that all of them leave these signals to wait().
  WEIR_ASSIGN(os::Signals signals, os::Signals::block({SIGINT, SIGTERM}));
  os::ignore_sigpipe();
  os::raise_descriptor_limit();
  const SystemClock clock;
  const auto server = bench::MockServer::start(o, clock);
  if (!server.ok()) {
    // What is wrong with the port is not wrong with the input.
    fmt::print(stderr, "weir: {}\n", server.error().message);
    return kExitUnavailable;
  }
  fmt::print("weir: ready http://{}:{} model={}\n", o.host, (*server)->port(), o.model);
  std::fflush(stdout);
  WEIR_ASSIGN(const std::optional<int> signal, signals.wait(-1));
  (void)signal;
  return kExitOk;
}

}  // namespace

void add_bench_mock(CLI::App& bench, Selected& selected) {
  auto o = std::make_shared<bench::MockOptions>();  // shared: the parser's callback and the action
                                                    // outlive this call
  o->port = 8080;
  CLI::App* c = add_command(
      bench, "mock", "An OpenAI-compatible server without a model, at a pace of your choice",
      "  weir bench mock --ttft 50 --itl 10\n"
      "  weir bench mock --port 9000 --ttft 20 --itl 5 --jitter 0.5 --slots 8\n"
      "  weir bench mock --error-rate 0.01 --reject-rate 0.05 --cut-rate 0.01\n");
  c->add_option("--port", o->port, "port on 127.0.0.1, 0 takes a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  c->add_option("--model", o->model, "its name")->capture_default_str();
  c->add_option("--ttft", o->ttft_ms, "milliseconds to the first token")
      ->check(CLI::Range(0.0, 3.6e6))
      ->capture_default_str();
  c->add_option("--itl", o->itl_ms, "milliseconds between tokens; 0: all at once")
      ->check(CLI::Range(0.0, 3.6e6))
      ->capture_default_str();
  c->add_option("--jitter", o->jitter, "share of these times by which they vary, evenly")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  c->add_option("--slots", o->slots, "requests answered at once, the rest wait; 0: no bound")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  c->add_option("--max-waiting", o->max_waiting, "requests that may wait; beyond: 503")
      ->check(CLI::Range(0, 10'000'000))
      ->capture_default_str();
  c->add_option("--error-rate", o->error_rate, "share of requests that get 500")
      ->check(CLI::Range(0.0, 1.0));
  c->add_option("--reject-rate", o->reject_rate, "share of requests that get 503, Retry-After: 1")
      ->check(CLI::Range(0.0, 1.0));
  c->add_option("--cut-rate", o->cut_rate, "share of answers whose connection breaks halfway")
      ->check(CLI::Range(0.0, 1.0));
  c->add_option("--seed", o->seed, "which requests these are")->capture_default_str();
  c->callback([o, &selected] { selected.action = [o] { return bench_mock(*o); }; });
}

}  // namespace weir::cli
