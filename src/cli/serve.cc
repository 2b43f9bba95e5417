// weir serve: the OpenAI-compatible server.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <random>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/model_path.h"
#include "engine/engine.h"
#include "os/signals.h"
#include "server/server.h"
#include "telemetry/log.h"
#include "text/chat_template.h"

namespace weir::cli {
namespace {

// Steps of an encoder when nobody says otherwise, if its window is that long.
constexpr int32_t kEncoderStepTokens = 2048;

struct Options {
  std::string model;
  std::string load_type;
  std::string name;
  std::string log_level = "info";
  server::ServerConfig server;
  engine::EngineLimits limits;
  int threads = 0;
  bool has_step_tokens = false;
  int64_t kv_tokens = 0;
  KvTypeFlags kv;
  engine::PrefixOptions prefix;
  bool no_prefix_cache = false;
  std::string pooling;
  int32_t drain_timeout_s = 30;
};

// Accepts as many descriptors as this process may have: every connection takes one, and the usual
// soft limit of 1,024 lies below max_connections.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void print_ready(const Options& o, uint16_t port, bool encoder) {
  const std::string host =
      o.server.host.find(':') == std::string::npos ? o.server.host : "[" + o.server.host + "]";
  fmt::print("weir: ready http://{}:{} model={}\n", host, port, o.server.model_name);
  const std::string_view route = encoder ? "embeddings" : "chat/completions";
  const std::string_view body =
      encoder ? R"("input":"A weir raises a river.")"
              : R"("messages":[{"role":"user","content":"Say hello."}],"max_tokens":32)";
  fmt::print(
      "try: curl -s http://{}:{}/v1/{} -H 'Content-Type: application/json' "
      "-d '{{\"model\":\"{}\",{}}}'\n",
      host, port, route, o.server.model_name, body);
  std::fflush(stdout);
}

// Whether all that was in flight got its answer, in time and before a second signal.
Result<bool> drained(const Options& o, os::Signals& signals, server::Server& server) {
  constexpr std::chrono::milliseconds kSlice{100};  // how late a second signal is seen
  std::chrono::milliseconds left = std::chrono::seconds(o.drain_timeout_s);
  while (true) {
    if (server.wait_drained(std::min(left, kSlice))) return true;
    left -= std::min(left, kSlice);
    WEIR_ASSIGN(const std::optional<int> again, signals.wait(0));
    if (again.has_value() || left.count() == 0) return false;
  }
}

// Waits for SIGTERM or SIGINT, then lets what is in flight finish; a second signal ends that.
Result<int> wait_and_drain(const Options& o, os::Signals& signals, engine::Engine& engine,
                           server::Server& server, telemetry::Logger& log) {
  WEIR_ASSIGN(const std::optional<int> signal, signals.wait(-1));
  log.info("signal", {{"number", signal.value_or(0)}});
  server.drain();
  engine.drain();
  WEIR_ASSIGN(const bool in_time, drained(o, signals, server));
  if (!in_time) log.warn("drain_cut_short", {{"drain_timeout_s", o.drain_timeout_s}});
  server.stop();
  engine.stop();
  return kExitOk;
}

void log_snapshot(telemetry::Logger& log, const engine::SnapshotReport& r) {
  using Kind = engine::SnapshotReport::Kind;
  if (r.error.has_value()) {
    log.warn(r.kind == Kind::kIgnored ? "kv_snapshot_ignored" : "kv_snapshot_not_written",
             {{"reason", r.error->message}});
  } else {
    log.info(r.kind == Kind::kRestored ? "kv_snapshot_restored" : "kv_snapshot_written",
             {{"pages", r.pages}, {"ms", r.ms}});
  }
}

Result<int> serve(Options o) {
  WEIR_ASSIGN(const telemetry::LogLevel level, telemetry::parse_log_level(o.log_level));
  // Before any thread starts, so that all of them leave these signals to wait_and_drain.
  WEIR_ASSIGN(os::Signals signals, os::Signals::block({SIGTERM, SIGINT}));
  os::ignore_sigpipe();
  raise_descriptor_limit();
  WEIR_ASSIGN(const std::string path, resolve_model(o.model));
  o.server.model_name = o.name.empty() ? model_name(path) : o.name;
  std::random_device entropy;
  const auto draw = [&entropy] { return (uint64_t{entropy()} << 32) | entropy(); };
  o.server.seed = draw();
  o.prefix.hash_key = {draw(), draw()};
  o.prefix.enabled = !o.no_prefix_cache;
  telemetry::LogOptions log_options;
  log_options.level = level;
  telemetry::Logger log(log_options);
  LoadRequest request;
  request.model = o.model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.step_tokens = o.limits.step_tokens;
  if (!o.has_step_tokens) request.encoder_step_tokens = kEncoderStepTokens;
  request.kv_tokens = o.kv_tokens;
  request.generates = false;
  if (!o.pooling.empty()) {
    WEIR_ASSIGN(request.pooling, model::parse_pooling(o.pooling));
  }
  WEIR_ASSIGN(request.kv_types, o.kv.types());
  WEIR_ASSIGN(const std::unique_ptr<engine::LoadedModel> model, load_model(request));
  WEIR_ASSIGN(const text::ChatTemplate chat, text::ChatTemplate::from_gguf(model->file()));
  const SystemClock clock;
  if (model->config().arch->encoder) o.limits.step_tokens = model->runner().max_step_tokens();
  o.prefix.model = model->identity();
  o.prefix.traits = fmt::format("{} {}", kernels::isa_name(model->isa()),
                                kernels::kv_types_name(request.kv_types));
  o.prefix.on_snapshot = [&log](const engine::SnapshotReport& r) { log_snapshot(log, r); };
  engine::Engine engine(model->runner(), model->tokenizer(), clock, o.limits, o.prefix);
  // The last three as they hold: the KV cache and the step may have cut what was asked for.
  log.info("loaded", {{"model", o.server.model_name},
                      {"isa", kernels::isa_name(model->isa())},
                      {"threads", model->threads()},
                      {"weight_bytes", model->weight_bytes()},
                      {"kv_type", kernels::kv_types_name(request.kv_types)},
                      {"kv_bytes", model->kv_bytes()},
                      {"open_ms", model->times().open_ms},
                      {"tokenizer_ms", model->times().tokenizer_ms},
                      {"weights_ms", model->times().weights_ms},
                      {"load_ms", model->times().all_ms},
                      {"context_tokens", engine.max_context_tokens()},
                      {"step_tokens", engine.limits().step_tokens},
                      {"max_running", engine.limits().max_running}});
  engine.start();
  const server::ServedModel served{
      engine,
      model->tokenizer(),
      chat,
      engine::kPageTokens,
      model->kv_bytes() / static_cast<uint64_t>(model->runner().pages()),
      kernels::kv_types_name(request.kv_types),
      o.prefix.enabled && !model->config().arch->encoder};
  const auto server = server::Server::start(o.server, served, clock, log);
  if (!server.ok()) {
    if (server.error().code == ErrorCode::kUsage) return server.error();
    // What is wrong with the address or the port is not wrong with the input.
    fmt::print(stderr, "weir: {}\n", server.error().message);
    return kExitUnavailable;
  }
  print_ready(o, (*server)->port(), model->config().arch->encoder);
  return wait_and_drain(o, signals, engine, **server, log);
}

void add_engine_options(CLI::App* c, Options& o) {
  engine::EngineLimits& l = o.limits;
  c->add_option("--threads", o.threads, "worker threads (default: the cores this process may use)")
      ->check(CLI::Range(1, 256));
  c->add_option("--ctx", l.max_context_tokens,
                "longest prompt and output of a request (default, and at most: the model's window)")
      ->check(CLI::Range(32, 1 << 27));
  c->add_option(
       "--kv-tokens", o.kv_tokens,
       "tokens of KV cache over all requests (default: one window, within a quarter of the "
       "free memory)")
      ->check(CLI::Range(int64_t{32}, int64_t{1} << 31));
  add_kv_type_options(c, o.kv);
  c->add_flag("--no-prefix-cache", o.no_prefix_cache,
              "compute every prompt anew (default: what requests of a tenant begin with alike is "
              "computed once)");
  c->add_option("--kv-snapshot", o.prefix.snapshot_path,
                "file that keeps the prefix cache over a restart; it holds what prompts said");
  c->add_option("--kv-snapshot-interval", o.prefix.snapshot_interval_s,
                "seconds between two writes of it, if something changed")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  add_pooling_option(c, o.pooling);
  c->add_option("--step-tokens", l.step_tokens,
                "tokens of one engine step (default for an encoder: its window, up to 2048)")
      ->check(CLI::Range(1, 8192))
      ->capture_default_str();
  c->add_option("--prefill-chunk", l.prefill_chunk_tokens, "tokens of one prompt in a step")
      ->check(CLI::Range(1, 8192))
      ->capture_default_str();
  c->add_option("--max-running", l.max_running, "requests computed at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  c->add_option("--max-queued-requests", l.max_queued_requests,
                "requests that may wait; beyond: 503 with Retry-After")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  c->add_option("--max-queued-tokens", l.max_queued_tokens, "prompt tokens that may wait")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();
  c->add_option("--max-input-tokens", l.max_input_tokens, "longest prompt")
      ->check(CLI::Range(1, 1 << 27));
  c->add_option("--max-output-tokens", l.max_output_tokens, "longest output")
      ->check(CLI::Range(1, 1 << 27));
}

}  // namespace

void add_serve(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(root, "serve", "An OpenAI-compatible server",
                            "  weir serve smollm2-135m-instruct\n"
                            "  weir serve model.gguf --host 127.0.0.1 --port 8080 --threads 2\n"
                            "  weir serve model.gguf --host 0.0.0.0 --api-key \"$KEY\"\n");
  o->server.http.body_bytes = 8 << 20;  // a window of a million tokens has about 4 MB
  add_model_argument(c, o->model);
  add_load_type(c, o->load_type);
  c->add_option("--host", o->server.host, "address to listen on")->capture_default_str();
  c->add_option("--port", o->server.port, "port, 0 takes a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  c->add_option("--name", o->name,
                "name of the model towards clients (default: from the file's name)");
  c->add_option("--api-key", o->server.api_keys,
                "a key that clients must send; may be given several times");
  c->add_flag("--allow-remote-without-keys", o->server.allow_remote_without_keys,
              "listen beyond loopback without keys");
  c->add_option("--allowed-host", o->server.allowed_hosts,
                "a name accepted in the Host header (default: all)");
  c->add_option("--cors-origin", o->server.cors_origins, "an origin that browsers may call from");
  c->add_option("--max-connections", o->server.http.max_connections,
                "open connections; beyond: 503")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  c->add_option("--max-body-bytes", o->server.http.body_bytes, "largest request body; beyond: 413")
      ->check(CLI::Range(1024, 1 << 30))
      ->capture_default_str();
  c->add_flag("--strict", o->server.api.strict, "unknown request parameters are errors");
  c->add_option("--drain-timeout", o->drain_timeout_s,
                "seconds that requests in flight get after SIGTERM")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  c->add_option("--log-level", o->log_level, "debug, info, warn, error or off")
      ->capture_default_str();
  add_engine_options(c, *o);
  c->callback([o, c, &selected] {
    o->has_step_tokens = c->get_option("--step-tokens")->count() > 0;
    selected.action = [o] { return serve(*o); };
  });
}

}  // namespace weir::cli
