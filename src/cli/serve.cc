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
#include "cli/key_flags.h"
#include "cli/load.h"
#include "cli/model_path.h"
#include "cli/serve_options.h"
#include "engine/calibration.h"
#include "engine/engine.h"
#include "os/file.h"
#include "os/signals.h"
#include "server/server.h"
#include "telemetry/log.h"
#include "text/chat_template.h"

namespace weir::cli {
namespace {

// For answers that were cut short to reach the socket; readers that are slower go without.
constexpr std::chrono::milliseconds kFarewell{500};

// Steps of an encoder when nobody says otherwise, if its window is that long.
constexpr int32_t kEncoderStepTokens = 2048;

// Accepts as many descriptors as this process may have: every connection takes one, and the usual
// soft limit of 1,024 lies below max_connections.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// What stands on stdout when the server is up; scripts wait for the line "weir: ready".
void print_ready(const ServeOptions& o, uint16_t port, bool encoder) {
  const std::string host =
      o.server.host.find(':') == std::string::npos ? o.server.host : "[" + o.server.host + "]";
  const std::string_view scheme = o.server.tls.certificate.empty() ? "http" : "https";
  fmt::print("weir: ready {}://{}:{} model={}\n", scheme, host, port, o.server.model_name);
  const std::string_view route = encoder ? "embeddings" : "chat/completions";
  const std::string_view body =
      encoder ? R"("input":"A weir raises a river.")"
              : R"("messages":[{"role":"user","content":"Say hello."}],"max_tokens":32)";
  fmt::print(
      "try: curl -s {}://{}:{}/v1/{} -H 'Content-Type: application/json' "
      "-d '{{\"model\":\"{}\",{}}}'\n",
      scheme, host, port, route, o.server.model_name, body);
  std::fflush(stdout);
}

// Whether all that was in flight got its answer, in time and before a second signal.
Result<bool> drained(const ServeOptions& o, os::Signals& signals, server::Server& server) {
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
Result<int> wait_and_drain(const ServeOptions& o, os::Signals& signals, engine::Engine& engine,
                           server::Server& server, telemetry::Logger& log) {
  WEIR_ASSIGN(const std::optional<int> signal, signals.wait(-1));
  log.info("signal", {{"number", signal.value_or(0)}});
  server.drain();
  engine.drain();
  WEIR_ASSIGN(const bool in_time, drained(o, signals, server));
  if (!in_time) log.warn("drain_cut_short", {{"drain_timeout_s", o.drain_timeout_s}});
  // What is unfinished is told so: the engine's last delivery is an error event, or a 503.
  engine.stop();
  server.wait_drained(kFarewell);
  server.stop();
  return kExitOk;
}

// The admin token out of its file, without the line's end.
Status read_admin_token(ServeOptions& o) {
  if (o.admin_token_file.empty()) return {};
  WEIR_ASSIGN(std::string text, os::read_file(o.admin_token_file, 4096));
  text.resize(std::min(text.size(), text.find_first_of("\r\n")));
  if (text.empty())
    return make_error(ErrorCode::kUsage, "{} holds no token in its first line", o.admin_token_file);
  o.server.admin.token = std::move(text);
  return {};
}

// What holds for both classes fills in what one has not of its own.
void apply_slo(const engine::Slo& both, engine::Slo& own) {
  if (own.itl_ms == 0) own.itl_ms = both.itl_ms;
  if (own.ttft_ms == 0) own.ttft_ms = both.ttft_ms;
}

// The options as the settings say, with what they point to.
Result<ServeOptions> make_options(const config::Table<ServeOptions>& table,
                                  const config::Settings& settings) {
  ServeOptions o = table.make(settings);
  if (o.model.empty()) {
    return make_error(ErrorCode::kUsage,
                      "there is no model: give MODEL, or model: in the file of --config");
  }
  WEIR_TRY(read_admin_token(o));
  apply_slo(o.slo, o.limits.interactive);
  apply_slo(o.slo, o.limits.batch);
  return o;
}

Result<int> serve(const ServeGiven& given) {
  WEIR_ASSIGN(const config::Settings settings,
              resolve_settings(given.table.keys(), given.flags, given.config_file));
  WEIR_ASSIGN(ServeOptions o, make_options(given.table, settings));
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
  if (!settings.is_set("limits.step_tokens")) request.encoder_step_tokens = kEncoderStepTokens;
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
  engine::Calibration steps;
  if (!o.no_calibrate) {
    WEIR_ASSIGN(steps, engine::calibrate(model->runner(), clock));
  }
  engine::Engine engine(model->runner(), model->tokenizer(), clock, o.limits, o.prefix,
                        steps.model);
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
                      {"calibration_ms", steps.took_ms},
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
  if ((*server)->admin_port() != 0)
    fmt::print("weir: admin http://{}:{}\n", o.server.admin.host, (*server)->admin_port());
  print_ready(o, (*server)->port(), model->config().arch->encoder);
  return wait_and_drain(o, signals, engine, **server, log);
}

}  // namespace

void add_serve(CLI::App& root, Selected& selected) {
  auto given = std::make_shared<ServeGiven>();  // shared: the parser's callbacks and the action
                                                // outlive this call
  CLI::App* c = add_command(root, "serve", "An OpenAI-compatible server",
                            "  weir serve smollm2-135m-instruct\n"
                            "  weir serve model.gguf --host 127.0.0.1 --port 8080 --threads 2\n"
                            "  weir serve model.gguf --host 0.0.0.0 --keys-file keys.yaml\n"
                            "  weir serve --config weir.yaml\n");
  add_serve_flags(c, *given);
  c->callback([given, &selected] { selected.action = [given] { return serve(*given); }; });
}

}  // namespace weir::cli
