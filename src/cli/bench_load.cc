// weir bench load: measure a server under load.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <memory>

#include "bench/load/runner.h"
#include "bench/report/compare.h"
#include "bench/report/html.h"
#include "bench/report/json.h"
#include "bench/report/text.h"
#include "cli/command.h"
#include "cli/load_options.h"
#include "cli/terminal.h"
#include "os/file.h"
#include "os/limits.h"
#include "os/signals.h"

namespace weir::cli {
namespace {

// Questions before the run are small: a server that does not answer them in this time is not ready.
constexpr std::chrono::milliseconds kControlTimeout{30'000};

std::string iso_time(const Clock& clock) {
  const std::time_t now = clock.unix_s();
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  const size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text, n};
}

// All that a run needs, made from the flags.
struct Setup {
  bench::Target target;
  bench::RequestShape shape;
  std::optional<ops::Dataset> dataset;
  std::vector<bench::Schedule> schedules;
  bench::Slo slo;
  std::optional<bench::Workload> workload;
  bench::Calibration calibration;
  std::map<std::string, std::string> settings;
  std::unique_ptr<http::Client> client;  // last: its thread stops before what it uses goes away
};

// Whether the file can be written is known before the run, not after it.
Status check_writable(const std::string& flag, const std::string& path) {
  if (path.empty()) return {};
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (access(folder.c_str(), W_OK) == 0) return {};
  return make_error(ErrorCode::kUsage, "{}: {} is no folder that can be written to", flag, folder);
}

Status ask_server(Setup& s) {
  bench::Target asked = s.target;
  asked.timeouts.total = kControlTimeout;
  if (s.target.model.empty()) {
    WEIR_ASSIGN(s.target.model, bench::only_model(*s.client, asked));
    asked.model = s.target.model;
  }
  if (s.dataset.has_value() && s.dataset->kind == ops::Dataset::Kind::kPrompts) {
    s.calibration.note = "prompts are sent as they stand in the file";
    return {};
  }
  WEIR_ASSIGN(s.calibration, bench::calibrate(*s.client, asked));
  s.calibration.note = bench::check_prompts(*s.client, asked, *s.workload, s.calibration);
  return {};
}

Result<std::unique_ptr<Setup>> make_setup(const LoadOptions& o) {
  auto s = std::make_unique<Setup>();
  WEIR_ASSIGN(s->target, load_target(o));
  WEIR_ASSIGN(s->shape, load_shape(o));
  WEIR_ASSIGN(s->slo, bench::parse_slo(o.slo));
  if (o.fail_on_slo && !s->slo.any())
    return make_error(ErrorCode::kUsage, "--fail-on-slo needs --slo");
  WEIR_TRY(check_writable("--html", o.html));
  WEIR_TRY(check_writable("--save", o.save));
  WEIR_ASSIGN(s->dataset, load_dataset(o));
  const ops::Dataset* dataset = s->dataset.has_value() ? &*s->dataset : nullptr;
  WEIR_ASSIGN(s->schedules, load_schedules(o, dataset));
  WEIR_ASSIGN(const bench::WorkloadSpec spec, load_workload(o, dataset));
  WEIR_ASSIGN(s->workload, bench::Workload::make(spec, dataset));
  http::ClientOptions client;
  client.max_connections_per_host =
      std::max(o.max_connections, static_cast<size_t>(std::max(0, o.concurrency)));
  WEIR_ASSIGN(s->client, http::Client::start(client));
  return s;
}

// One run with its progress bar. interrupted: a signal ended it.
Result<bench::LoadRun> run_one(bench::LoadRunner& runner, const bench::Schedule& schedule,
                               os::Signals& signals, const Clock& clock, bool& interrupted) {
  const bool by_time = schedule.duration_s > 0;
  const uint64_t total = by_time ? static_cast<uint64_t>(schedule.duration_s * 1e3)
                                 : std::max<uint64_t>(1, schedule.requests);
  ProgressBar bar(schedule.label(), total, clock);
  return runner.run(schedule, [&](const bench::RunProgress& p) {
    const uint64_t done =
        by_time ? std::min(total, static_cast<uint64_t>(p.elapsed_s * 1e3)) : p.ended;
    bar.update(p.warming_up ? 0 : done,
               p.warming_up
                   ? fmt::format("warm-up, {} answered", p.ended)
                   : fmt::format("{} sent, {} answered, {} failed", p.sent, p.ended, p.failed));
    const auto signal = signals.wait(0);
    interrupted = interrupted || (signal.ok() && signal->has_value());
    return !interrupted;
  });
}

// The report with what it is evidence of.
std::string json_text(const bench::Report& report, const std::optional<ops::Subject>& subject) {
  text::Json json = bench::report_json(report);
  if (subject) json.set("subject", subject->json());
  return json.dump() + "\n";
}

Status write_files(const LoadOptions& o, const bench::Report& report,
                   const std::optional<ops::Subject>& subject) {
  if (!o.save.empty()) WEIR_TRY(os::write_file_atomic(o.save, json_text(report, subject)));
  if (!o.html.empty()) {
    WEIR_TRY(os::write_file_atomic(o.html, bench::report_html(report)));
  }
  return {};
}

Result<int> bench_load(const LoadOptions& o) {
  // Before any thread starts, so that all of them leave these signals to run_one.
  WEIR_ASSIGN(os::Signals signals, os::Signals::block({SIGINT, SIGTERM}));
  os::ignore_sigpipe();
  os::raise_descriptor_limit();
  const SystemClock clock;
  WEIR_ASSIGN(const std::optional<ops::Subject> subject, read_subject(o.subject));
  WEIR_ASSIGN(const std::unique_ptr<Setup> s, make_setup(o));
  if (const Status asked = ask_server(*s); !asked.ok()) {
    if (asked.error().code == ErrorCode::kUsage) return asked.error();
    fmt::print(stderr, "weir: {}\n", asked.error().message);
    return kExitUnavailable;  // what is wrong with the server is not wrong with the input
  }
  const ops::Dataset* dataset = s->dataset.has_value() ? &*s->dataset : nullptr;
  s->settings = load_settings(o, s->target, s->workload->spec(), dataset);
  s->settings["prompts"] = s->calibration.note;
  bench::LoadRunner runner(*s->client, s->target, s->shape, *s->workload, s->calibration.words);
  std::vector<bench::LoadSummary> summaries;
  bool interrupted = false;
  int64_t ok = 0;
  for (const bench::Schedule& schedule : s->schedules) {
    WEIR_ASSIGN(bench::LoadRun run, run_one(runner, schedule, signals, clock, interrupted));
    run.settings.insert(s->settings.begin(), s->settings.end());
    if (!run.requests.empty()) summaries.push_back(bench::summarize(run, s->slo));
    if (interrupted) break;
  }
  if (summaries.empty()) {
    fmt::print(stderr, "weir: interrupted before the first answer: nothing to report\n");
    return kExitUnavailable;
  }
  for (const bench::LoadSummary& summary : summaries) ok += summary.ok;
  const bench::Report report =
      bench::make_report(std::move(summaries), s->slo, s->settings, iso_time(clock));
  WEIR_TRY(write_files(o, report, subject));
  if (o.json) {
    fmt::print("{}", json_text(report, subject));
  } else {
    bench::TextOptions text;
    text.colour = isatty(STDOUT_FILENO) != 0;
    fmt::print("{}", bench::report_text(report, text));
  }
  if (ok == 0) return kExitUnavailable;
  const bool met = std::all_of(report.runs.begin(), report.runs.end(),
                               [](const auto& run) { return run.goodput.met; });
  return o.fail_on_slo && !met ? kExitNo : kExitOk;
}

Result<bench::Report> read_saved(const std::string& path) {
  WEIR_ASSIGN(const std::string bytes, os::read_file(path, bench::kMaxReportBytes));
  Result<bench::Report> report = bench::read_report(bytes);
  if (!report.ok()) return report.error().with_context(path);
  return report;
}

Result<int> compare_saved(const LoadOptions& o) {
  WEIR_ASSIGN(const bench::Report a, read_saved(o.compare[0]));
  WEIR_ASSIGN(const bench::Report b, read_saved(o.compare[1]));
  WEIR_ASSIGN(const bench::Comparison comparison, bench::compare(a, b));
  if (o.json) {
    fmt::print("{}\n", bench::comparison_json(comparison).dump());
  } else {
    fmt::print("{}", bench::comparison_text(comparison, isatty(STDOUT_FILENO) != 0));
  }
  return o.fail_on_worse && comparison.any_worse() ? kExitNo : kExitOk;
}

void add_server_options(CLI::App* c, LoadOptions& o) {
  c->add_option("--url", o.url, "the server; http:// only")->capture_default_str();
  c->add_option("--model", o.model, "its model (default: the only one it lists)");
  c->add_flag("--chat", o.chat, "/v1/chat/completions in place of /v1/completions");
  c->add_flag("--yes-remote", o.yes_remote, "the server may be another machine");
  c->add_option("--api-key", o.api_key, "sent as a bearer token (default: $WEIR_API_KEY)")
      ->envname("WEIR_API_KEY");
  c->add_option("--header", o.headers, "\"Name: value\"; may be given several times");
  c->add_option("--timeout", o.timeout_s, "seconds until a request counts as timed out")
      ->check(CLI::Range(0.01, 86400.0))
      ->capture_default_str();
  c->add_option("--max-connections", o.max_connections,
                "connections; beyond, requests wait on this side and their latency counts it")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
}

void add_schedule_options(CLI::App* c, LoadOptions& o) {
  auto* rate = c->add_option("--rate", o.rate_per_s, "requests a second, whatever comes back")
                   ->check(CLI::Range(1e-3, 1e6));
  c->add_option("--concurrency", o.concurrency,
                "users, each of which waits for its answer before it sends again")
      ->check(CLI::Range(1, 100000))
      ->excludes(rate);
  c->add_option("--sweep", o.sweep, "a run for each rate: 1,2,4 or LOW:HIGH:STEPS");
  c->add_option("--arrival", o.arrival,
                "poisson, constant, gamma:CV (bursts for CV above 1) or trace (default: poisson, "
                "with --trace its own times)");
  c->add_option("--trace", o.trace,
                "replay arrivals and lengths: CSV of Azure 2023 and 2024 or BurstGPT, JSON lines "
                "of Mooncake; with --rate scaled to that mean rate");
  c->add_option("--speed", o.speed, "times of the trace are divided by it")
      ->check(CLI::Range(1e-6, 1e6))
      ->excludes(rate);
  c->add_option("--requests", o.requests, "requests to send (default with a file: its rows)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{100'000'000}));
  c->add_option("--duration", o.duration_s, "seconds to send for")
      ->check(CLI::Range(0.1, 604800.0));
  c->add_option("--warmup", o.warmup, "not counted: 100 requests before the run, or its first 30s");
}

void add_workload_options(CLI::App* c, LoadOptions& o) {
  bench::WorkloadSpec& w = o.workload;
  c->add_option("--prompts", o.prompts,
                "JSON lines {\"prompt\":...} or {\"messages\":[...]}, in turn");
  c->add_option("--prompt-tokens", o.prompt_tokens,
                "512, uniform:100-900, lognormal:MEDIAN:SIGMA[:MAX], trace (default: 512, with "
                "--trace its own)");
  c->add_option("--output-tokens", o.output_tokens, "likewise, of answers (default: 128)");
  c->add_option("--prefix-tokens", w.prefix_tokens,
                "more tokens in front of each prompt, shared within a group")
      ->check(CLI::Range(0, bench::kMaxLengthTokens));
  c->add_option("--groups", w.groups, "different shared prefixes")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  c->add_option("--zipf", w.zipf, "group k is as likely as 1/k^zipf; 0: all alike")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  c->add_option("--turns", w.turns, "turns of a conversation; each sends what was said before")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  c->add_option("--think", w.think_s, "mean seconds between an answer and the next turn")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  c->add_option("--max-prompt-tokens", w.max_prompt_tokens, "longer prompts are cut")
      ->check(CLI::Range(1, bench::kMaxLengthTokens));
  c->add_option("--max-output-tokens", w.max_output_tokens, "longer answers are cut")
      ->check(CLI::Range(1, bench::kMaxLengthTokens));
  c->add_option("--seed", w.seed, "the same seed asks the same")->capture_default_str();
  c->add_option("--temperature", o.shape.temperature, "of sampling")
      ->check(CLI::Range(0.0, 2.0))
      ->capture_default_str();
  c->add_flag("--stop-at-eos", o.stop_at_eos,
              "answers may end early (default: ignore_eos, so that lengths are those asked for)");
  c->add_flag("--no-stream", o.whole, "whole answers: no time to first token");
  c->add_option("--extra-body", o.extra, "a JSON object whose members each request gets too");
}

void add_report_options(CLI::App* c, LoadOptions& o) {
  c->add_option("--slo", o.slo, "what a good request keeps: ttft=500ms,itl=50ms,e2e=10s,share=95%");
  c->add_flag("--fail-on-slo", o.fail_on_slo, "exit 1 when a run does not meet it");
  c->add_option("--html", o.html, "write a report with charts, one file");
  c->add_option("--save", o.save, "write the JSON report too, for --compare");
  add_subject_options(c, o.subject, true);
  c->add_flag("--json", o.json, "one JSON document");
  c->add_option("--compare", o.compare, "two saved reports: what changed beyond noise")
      ->expected(2)
      ->type_name("A.json B.json");
  c->add_flag("--fail-on-worse", o.fail_on_worse, "with --compare: exit 1 when anything is worse");
}

}  // namespace

void add_bench_load(CLI::App& bench, Selected& selected) {
  auto o = std::make_shared<LoadOptions>();  // shared: the parser's callback and the action outlive
                                             // this call
  CLI::App* c = add_command(
      bench, "load", "Latency and throughput of a server under load",
      "  weir bench load --concurrency 16 --requests 200 --warmup 16\n"
      "  weir bench load --rate 4 --duration 60 --slo ttft=500ms,itl=50ms --html load.html\n"
      "  weir bench load --sweep 1:16:6 --duration 30 --slo ttft=500ms --html sweep.html\n"
      "  weir bench load --trace mooncake.jsonl --speed 2 --max-prompt-tokens 4096\n"
      "  weir bench load --concurrency 8 --prefix-tokens 400 --groups 20 --turns 4 --think 2 "
      "--chat --duration 60\n"
      "  weir bench load --compare before.json after.json\n");
  add_server_options(c, *o);
  add_schedule_options(c, *o);
  add_workload_options(c, *o);
  add_report_options(c, *o);
  c->callback([o, &selected] {
    selected.action = [o] { return o->compare.empty() ? bench_load(*o) : compare_saved(*o); };
  });
}

}  // namespace weir::cli
