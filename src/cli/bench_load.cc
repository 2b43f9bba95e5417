// weir bench load: measure a server under load.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <memory>
#include <numeric>

#include "bench/load/runner.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "os/signals.h"
#include "text/json.h"

namespace weir::cli {
namespace {

struct Options {
  std::string url = "http://127.0.0.1:8080";
  std::string model;
  bool chat = false;
  bool yes_remote = false;
  double rate_per_s = 0;
  int32_t concurrency = 0;
  std::string arrival = "poisson";
  uint64_t requests = 0;
  double duration_s = 0;
  std::string warmup;
  std::string prompt = "512";
  std::string output = "128";
  bench::WorkloadSpec workload;
  bench::RequestShape shape;
  bool stop_at_eos = false;
  bool whole = false;
  double timeout_s = 600;
  size_t max_connections = 1024;
  std::string api_key;
  std::vector<std::string> headers;
  bool json = false;
};

Result<http::Url> target_url(const Options& o) {
  WEIR_ASSIGN(http::Url url, http::parse_url(o.url));
  if (url.path.ends_with("/v1")) url.path.resize(url.path.size() - 3);
  if (o.yes_remote || http::is_loopback(url.host)) return url;
  return make_error(ErrorCode::kUsage,
                    "{} is not this machine: a load test of somebody's server needs their word; "
                    "with it, give --yes-remote",
                    url.host);
}

// "100" requests or "30s".
Status read_warmup(const std::string& text, bench::Schedule& schedule) {
  if (text.empty()) return {};
  const char* end = text.data() + text.size();
  if (text.ends_with('s')) {
    const auto [at, ec] = std::from_chars(text.data(), end - 1, schedule.warmup_s);
    if (ec == std::errc() && at == end - 1 && schedule.warmup_s >= 0) return {};
  } else {
    const auto [at, ec] = std::from_chars(text.data(), end, schedule.warmup_requests);
    if (ec == std::errc() && at == end) return {};
  }
  return make_error(ErrorCode::kUsage,
                    "--warmup: \"{}\" is neither a number of requests (100) nor of seconds (30s)",
                    text);
}

double percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto at = static_cast<size_t>(p / 100 * static_cast<double>(values.size()));
  return values[std::min(values.size() - 1, at)];
}

void print_summary(const bench::LoadRun& run) {
  std::vector<double> ttft;
  std::vector<double> itl;
  std::vector<double> e2e;
  int64_t out = 0;
  int64_t in = 0;
  size_t ok = 0;
  for (const bench::RequestRecord& r : run.requests) {
    if (r.outcome != bench::Outcome::kOk) continue;
    ++ok;
    out += r.output_tokens;
    in += r.prompt_tokens;
    if (r.first_token_s >= 0) ttft.push_back(r.ttft_s() * 1e3);
    e2e.push_back(r.e2e_s() * 1e3);
    itl.insert(itl.end(), r.gaps_ms.begin(), r.gaps_ms.end());
  }
  const double s = std::max(1e-9, run.duration_s);
  fmt::print(
      "{}: {} ok of {}, {:.2f} s, {:.2f} requests/s, {:.1f} output tok/s, {:.1f} prompt "
      "tok/s\n",
      run.label, ok, run.requests.size(), run.duration_s, static_cast<double>(ok) / s,
      static_cast<double>(out) / s, static_cast<double>(in) / s);
  const auto line = [](const char* what, const std::vector<double>& v) {
    fmt::print("{:<5} p50 {:.2f} p95 {:.2f} p99 {:.2f} ms\n", what, percentile(v, 50),
               percentile(v, 95), percentile(v, 99));
  };
  line("TTFT", ttft);
  line("ITL", itl);
  line("E2E", e2e);
}

Result<int> bench_load(Options o) {
  WEIR_ASSIGN(os::Signals signals, os::Signals::block({SIGINT, SIGTERM}));
  os::ignore_sigpipe();
  bench::Target target;
  WEIR_ASSIGN(target.url, target_url(o));
  target.chat = o.chat;
  target.model = o.model;
  target.timeouts.total = std::chrono::milliseconds(static_cast<int64_t>(o.timeout_s * 1e3));
  if (!o.api_key.empty()) target.headers.add("Authorization", "Bearer " + o.api_key);
  o.shape.stream = !o.whole;
  o.shape.ignore_eos = !o.stop_at_eos;
  bench::Schedule schedule;
  schedule.requests = o.requests;
  schedule.duration_s = o.duration_s;
  WEIR_TRY(read_warmup(o.warmup, schedule));
  if (o.concurrency > 0) {
    schedule.kind = bench::Schedule::Kind::kClosed;
    schedule.concurrency = o.concurrency;
  } else {
    WEIR_ASSIGN(schedule.arrivals, bench::parse_arrivals(o.arrival, o.rate_per_s));
  }
  WEIR_ASSIGN(o.workload.prompt, bench::parse_length("--prompt-tokens", o.prompt));
  WEIR_ASSIGN(o.workload.output, bench::parse_length("--output-tokens", o.output));
  WEIR_ASSIGN(const bench::Workload workload, bench::Workload::make(o.workload, nullptr));
  http::ClientOptions client_options;
  client_options.max_connections_per_host = o.max_connections;
  WEIR_ASSIGN(const std::unique_ptr<http::Client> client, http::Client::start(client_options));
  if (target.model.empty()) {
    WEIR_ASSIGN(target.model, bench::only_model(*client, target));
  }
  WEIR_ASSIGN(const bench::Calibration calibration, bench::calibrate(*client, target));
  fmt::print(stderr, "weir: {}\n", calibration.note);
  bench::LoadRunner runner(*client, target, o.shape, workload, calibration.words);
  const SystemClock clock;
  ProgressBar bar("load", std::max<uint64_t>(1, o.requests), clock);
  const auto on_progress = [&](const bench::RunProgress& p) {
    bar.update(p.ended, fmt::format("{} failed", p.failed));
    const auto signal = signals.wait(0);
    return signal.ok() && !signal->has_value();
  };
  WEIR_ASSIGN(const bench::LoadRun run, runner.run(schedule, on_progress));
  print_summary(run);
  return kExitOk;
}

}  // namespace

void add_bench_load(CLI::App& bench, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(bench, "load", "Latency and throughput of a server under load",
                            "  weir bench load --url http://127.0.0.1:8080 --concurrency 16 "
                            "--requests 200\n");
  c->add_option("--url", o->url, "the server")->capture_default_str();
  c->add_option("--model", o->model, "its model (default: the only one it lists)");
  c->add_flag("--chat", o->chat, "/v1/chat/completions in place of /v1/completions");
  auto* rate = c->add_option("--rate", o->rate_per_s, "requests a second, sent whatever comes back")
                   ->check(CLI::Range(1e-3, 1e6));
  c->add_option("--concurrency", o->concurrency,
                "users, each of which waits for its answer before it sends again")
      ->check(CLI::Range(1, 100000))
      ->excludes(rate);
  c->add_option("--arrival", o->arrival, "poisson, constant or gamma:CV")->capture_default_str();
  c->add_option("--requests", o->requests, "requests to send")
      ->check(CLI::Range(uint64_t{1}, uint64_t{100'000'000}));
  c->add_option("--duration", o->duration_s, "seconds to send for")
      ->check(CLI::Range(0.1, 604800.0));
  c->add_option("--warmup", o->warmup, "not counted: 100 requests before, or the first 30s");
  c->add_option("--prompt-tokens", o->prompt, "length of prompts")->capture_default_str();
  c->add_option("--output-tokens", o->output, "length of answers")->capture_default_str();
  c->add_option("--prefix-tokens", o->workload.prefix_tokens, "in front of each prompt, shared");
  c->add_option("--groups", o->workload.groups, "different shared prefixes")
      ->check(CLI::Range(1, 1'000'000));
  c->callback([o, &selected] { selected.action = [o] { return bench_load(*o); }; });
}

}  // namespace weir::cli
