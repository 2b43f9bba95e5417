// weir serve: the OpenAI-compatible server.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <random>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/config_keeper.h"
#include "cli/key_flags.h"
#include "cli/load.h"
#include "cli/model_path.h"
#include "cli/serve_options.h"
#include "cli/serve_prefix.h"
#include "cli/telemetry_options.h"
#include "engine/calibration.h"
#include "engine/engine.h"
#include "os/limits.h"
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
    if ((again.has_value() && again != SIGHUP) || left.count() == 0) return false;
  }
}

// Waits for SIGTERM or SIGINT, then lets what is in flight finish; a second signal ends that. A
// SIGHUP before reads the configuration again.
Result<int> wait_and_drain(const ServeOptions& o, os::Signals& signals, engine::Engine& engine,
                           server::Server& server, ConfigKeeper& keeper, telemetry::Logger& log) {
  std::optional<int> signal;
  while (!signal.has_value()) {
    WEIR_ASSIGN(signal, signals.wait(-1));
    if (signal != SIGHUP) continue;
    (void)keeper.reload();  // it has said what came of it
    signal.reset();
  }
  log.info("signal", {{"number", signal.value_or(0)}});
  server.drain();
  engine.drain();
  WEIR_ASSIGN(const bool in_time, drained(o, signals, server));
  if (!in_time) {
    log.warn("drain_cut_short", {{"drain_timeout_s", o.drain_timeout_s}});
    server.refuse_unread();
  }
  // What is unfinished is told so: the engine's last delivery is an error event, or a 503.
  engine.stop();
  server.wait_drained(kFarewell);
  server.stop();
  return kExitOk;
}

// Of each option that was given and does not hold: what was asked for, what is taken instead, and
// which bound it was.
void log_reduced_limits(const config::Settings& settings, const ServeOptions& o,
                        const engine::Engine& engine, engine::LoadedModel& model,
                        telemetry::Logger& log) {
  const auto say = [&](const char* key, const char* option, int32_t asked, int32_t taken,
                       const std::string& why) {
    if (asked <= taken || !settings.is_set(key)) return;
    log.warn("limit_reduced",
             {{"option", option}, {"asked", asked}, {"taken", taken}, {"reason", why}});
  };
  const engine::EngineLimits& limits = engine.limits();
  const std::string step = fmt::format("a step has {} tokens (--step-tokens)", limits.step_tokens);
  say("limits.prefill_chunk_tokens", "--prefill-chunk", o.limits.prefill_chunk_tokens,
      limits.prefill_chunk_tokens, step);
  say("limits.max_running", "--max-running", o.limits.max_running, limits.max_running,
      step + ", and each request takes at least one");
  const int64_t cache = int64_t{model.runner().pages()} * engine::kPageTokens;
  std::string why = fmt::format("the KV cache has {} tokens (--kv-tokens)", cache);
  if (engine.max_context_tokens() == model.config().context_tokens) {
    why = "the model was trained for no longer window";
  } else if (model.config().arch->encoder && limits.step_tokens < cache) {
    why = step + ", and a text takes one step";
  }
  say("ctx", "--ctx", o.limits.max_context_tokens, engine.max_context_tokens(), why);
}

LoadRequest load_request(const ServeOptions& o, const config::Settings& settings) {
  LoadRequest request;
  request.model = o.model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.step_tokens = o.limits.step_tokens;
  if (!settings.is_set("limits.step_tokens")) request.encoder_step_tokens = kEncoderStepTokens;
  request.kv_tokens = o.kv_tokens;
  request.generates = false;
  return request;
}

// The engine ends before the server that it delivers to, and both before what they borrow, however
// serve() is left.
class StopInOrder {
 public:
  StopInOrder(engine::Engine& engine, server::Server& server) : engine_(engine), server_(server) {}
  ~StopInOrder() {
    engine_.stop();
    server_.stop();
  }
  StopInOrder(const StopInOrder&) = delete;
  StopInOrder& operator=(const StopInOrder&) = delete;

 private:
  engine::Engine& engine_;
  server::Server& server_;
};

// What is wrong with the address or the port is not wrong with the input.
int unavailable(const Error& error) {
  fmt::print(stderr, "weir: {}\n", error.message);
  return kExitUnavailable;
}

Result<int> serve(const ServeGiven& given) {
  WEIR_ASSIGN(const config::Settings settings,
              resolve_settings(given.table.keys(), given.flags, given.config_file));
  WEIR_ASSIGN(ServeOptions o, make_options(given.table, settings));
  if (o.model.empty()) {
    return make_error(ErrorCode::kUsage,
                      "there is no model: give MODEL, or model: in the file of --config");
  }
  WEIR_ASSIGN(const telemetry::LogOptions log_options, o.telemetry.log_options());
  // Before any thread starts, so that all of them leave these signals to wait_and_drain.
  WEIR_ASSIGN(os::Signals signals, os::Signals::block({SIGTERM, SIGINT, SIGHUP}));
  os::ignore_sigpipe();
  os::raise_descriptor_limit();
  WEIR_ASSIGN(const std::string path, resolve_model(o.model));
  o.server.model_name = o.name.empty() ? model_name(path) : o.name;
  std::random_device entropy;
  const auto draw = [&entropy] { return (uint64_t{entropy()} << 32) | entropy(); };
  o.server.seed = draw();
  o.prefix.hash_key = {draw(), draw()};
  WEIR_TRY(o.telemetry.apply(std::getenv, o.server.model_name, o.server));
  WEIR_TRY(check_options(o));
  telemetry::Logger log(log_options);
  for (const auto& [name, meant] : misspelt_variables(given.table.keys()))
    log.warn("unknown_variable", {{"name", name}, {"nearest", meant}});
  LoadRequest request = load_request(o, settings);
  if (!o.pooling.empty()) {
    WEIR_ASSIGN(request.pooling, model::parse_pooling(o.pooling));
  }
  WEIR_ASSIGN(request.kv_types, o.kv.types());
  const SystemClock clock;
  ConfigKeeper keeper(given, settings, clock, log);
  o.server.admin.show_config = [&keeper] { return keeper.show(); };
  o.server.admin.reload = [&keeper] { return keeper.reload(); };
  // Before the model, which may take minutes: a port that is taken is known at once, and whoever
  // asks meanwhile is told to wait.
  const auto listening = server::Server::listen(o.server, clock, log);
  if (!listening.ok()) {
    if (exit_code(listening.error().code) != kExitUnavailable &&
        listening.error().code != ErrorCode::kIo)
      return listening.error();
    return unavailable(listening.error());
  }
  server::Server& server = **listening;
  WEIR_ASSIGN(const std::unique_ptr<engine::LoadedModel> model, load_model(request));
  WEIR_ASSIGN(const text::ChatTemplate chat, text::ChatTemplate::from_gguf(model->file()));
  if (model->config().arch->encoder) o.limits.step_tokens = model->runner().max_step_tokens();
  engine::Calibration steps;
  if (o.calibrate) {
    WEIR_ASSIGN(steps, engine::calibrate(model->runner(), clock));
  }
  WEIR_ASSIGN(const std::unique_ptr<engine::LoadedModel> draft,
              load_draft(o.draft, request, o.limits.speculation.depth, *model));
  PrefixParts prefix;
  WEIR_TRY(prepare_prefix(o, *model, log, prefix));
  engine::Engine engine(model->runner(), model->tokenizer(), clock, o.limits, o.prefix, steps.model,
                        draft == nullptr ? nullptr : &draft->runner());
  log_reduced_limits(settings, o, engine, *model, log);
  // The last three as they hold.
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
      o.prefix.enabled,
      o.prefix.events};
  const StopInOrder stop(engine, server);
  server.serve(served);
  keeper.attach(server);
  if (server.admin_port() != 0)
    fmt::print("weir: admin http://{}:{}\n", o.server.admin.host, server.admin_port());
  print_ready(o, server.port(), model->config().arch->encoder);
  return wait_and_drain(o, signals, engine, server, keeper, log);
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
