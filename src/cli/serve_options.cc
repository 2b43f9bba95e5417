#include "cli/serve_options.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/key_flags.h"
#include "os/file.h"
#include "server/server.h"

// A field of ServeOptions, for Table::add.
#define WEIR_FIELD(path) \
  [](ServeOptions & o) -> auto& { return o.path; }

namespace weir::cli {
namespace {

using Table = config::Table<ServeOptions>;

constexpr double kMaxTokens = 1 << 27;

void add_server(Table& t) {
  t.add("model", "", WEIR_FIELD(model),
        {.help = "GGUF file, folder of a Hugging Face model, or a name under models/"});
  t.add("name", "--name", WEIR_FIELD(name),
        {.unset = "from the file's name", .help = "name of the model towards clients"});
  t.add("host", "--host", WEIR_FIELD(server.host), {.help = "address to listen on"});
  t.add("port", "--port", WEIR_FIELD(server.port),
        {.min = 0, .max = 65535, .help = "port, 0 takes a free one"});
  t.add("api_keys", "--api-key", WEIR_FIELD(server.api_keys),
        {.reloadable = true,
         .secret = true,
         .unset = "none asked for",
         .help = "a key that clients must send; may be given several times"});
  t.add("keys_file", "--keys-file", WEIR_FIELD(server.keys_file),
        {.reloadable = true,
         .unset = "none",
         .help = "keys, tenants and their limits; weir keys new makes entries"});
  t.add("allow_remote_without_keys", "--allow-remote-without-keys",
        WEIR_FIELD(server.allow_remote_without_keys),
        {.help = "listen beyond loopback without keys"});
  t.add("allowed_hosts", "--allowed-host", WEIR_FIELD(server.allowed_hosts),
        {.reloadable = true,
         .unset = "all",
         .help = "a name accepted in the Host header; may be given several times"});
  t.add("cors_origins", "--cors-origin", WEIR_FIELD(server.cors_origins),
        {.reloadable = true,
         .unset = "none",
         .help = "an origin that browsers may call from; may be given several times"});
  t.add("tls.cert", "--tls-cert", WEIR_FIELD(server.tls.certificate),
        {.unset = "plain HTTP", .help = "certificate and chain in PEM; serves https and wss"});
  t.add("tls.key", "--tls-key", WEIR_FIELD(server.tls.key),
        {.unset = "none", .help = "private key of --tls-cert in PEM"});
  t.add("tls.client_ca", "--tls-client-ca", WEIR_FIELD(server.tls.client_ca),
        {.unset = "none asked for",
         .help = "clients need a certificate that one of this file's has signed"});
  t.add("metrics.require_key", "--metrics-require-key", WEIR_FIELD(server.metrics_require_key),
        {.reloadable = true, .help = "/metrics asks for a key with the right metrics"});
  t.add("strict", "--strict", WEIR_FIELD(server.api.strict),
        {.reloadable = true, .help = "unknown request parameters are errors"});
  t.add("drain_timeout_s", "--drain-timeout", WEIR_FIELD(drain_timeout_s),
        {.min = 0,
         .max = 86400,
         .unit = "s",
         .help = "time that requests in flight get after SIGTERM"});
  t.add("admin.host", "--admin-host", WEIR_FIELD(server.admin.host),
        {.help = "address of the admin listener"});
  t.add("admin.port", "--admin-port", WEIR_FIELD(server.admin.port),
        {.min = -1,
         .max = 65535,
         .unset = "no admin listener",
         .help = "port of the admin listener, 0 takes a free one, -1 none"});
  t.add("admin.token", "--admin-token", WEIR_FIELD(server.admin.token),
        {.secret = true,
         .unset = "none",
         .help = "what the admin listener asks for; other users see a process's flags: prefer "
                 "--admin-token-file"});
  t.add("admin.token_file", "--admin-token-file", WEIR_FIELD(admin_token_file),
        {.unset = "none", .help = "file whose first line is the admin token"});
}

void add_telemetry(Table& t) {
  t.add("log.level", "--log-level", WEIR_FIELD(telemetry.log_level),
        {.choices = {"debug", "info", "warn", "error", "off"},
         .reloadable = true,
         .help = "debug, info, warn, error or off"});
  t.add("log.format", "--log-format", WEIR_FIELD(telemetry.log_format),
        {.choices = {"text", "json"}, .help = "text or json"});
  t.add("log.content", "--log-content", WEIR_FIELD(telemetry.log_content),
        {.help = "log prompts and outputs too, scrubbed"});
  t.add("log.no_scrub", "--no-scrub", WEIR_FIELD(telemetry.no_scrub),
        {.help = "log content as it is"});
  t.add("log.scrub_patterns", "--scrub-pattern", WEIR_FIELD(telemetry.scrub_patterns),
        {.unset = "none",
         .help = "a regular expression whose matches are taken out of logged content; may be "
                 "given several times"});
  t.add("otlp.endpoint", "--otlp-endpoint", WEIR_FIELD(telemetry.otlp_endpoint),
        {.unset = "OTEL_EXPORTER_OTLP_ENDPOINT, or none",
         .help = "an OpenTelemetry collector for spans and metrics: http://127.0.0.1:4318"});
}

void add_engine(Table& t) {
  t.add(
      "threads", "--threads", WEIR_FIELD(threads),
      {.min = 1, .max = 256, .unset = "the cores this process may use", .help = "worker threads"});
  t.add("ctx", "--ctx", WEIR_FIELD(limits.max_context_tokens),
        {.min = 32,
         .max = kMaxTokens,
         .unit = "tokens",
         .unset = "the model's window",
         .help = "longest prompt and output of a request, at most the model's window"});
  t.add("load_type", "--load-type", WEIR_FIELD(load_type),
        {.choices = {"", "bf16", "f16", "q8_0", "q4_1", "q4_0"},
         .unset = "as they are in its files",
         .help = "type of a folder's matrices in memory"});
  t.add("pooling", "--pooling", WEIR_FIELD(pooling),
        {.choices = {"", "mean", "cls", "last"},
         .unset = "as the model's file says",
         .help = "how a text becomes one vector"});
  t.add("kv.tokens", "--kv-tokens", WEIR_FIELD(kv_tokens),
        {.min = 32,
         .max = 2147483648.0,
         .unit = "tokens",
         .unset = "one window, within a quarter of the free memory",
         .help = "tokens of KV cache over all requests"});
  t.add("prefix_cache.enabled", "--prefix-cache", WEIR_FIELD(prefix.enabled),
        {.help = "what requests of a tenant begin with alike is computed once"});
  t.add("kv.snapshot", "--kv-snapshot", WEIR_FIELD(prefix.snapshot_path),
        {.unset = "none",
         .help = "file that keeps the prefix cache over a restart; it holds what prompts said"});
  t.add("kv.snapshot_interval_s", "--kv-snapshot-interval", WEIR_FIELD(prefix.snapshot_interval_s),
        {.min = 1, .max = 86400, .unit = "s", .help = "time between two writes of kv.snapshot"});
  t.add("kv.tier_bytes", "--kv-tier-bytes", WEIR_FIELD(tier_bytes),
        {.min = 0,
         .max = 17592186044416.0,
         .unit = "bytes",
         .unset = "none",
         .help = "second tier of the prefix cache, for pages that it evicts: in memory, or in "
                 "kv.tier_file"});
  t.add("kv.tier_file", "--kv-tier-file", WEIR_FIELD(tier_file),
        {.unset = "in memory",
         .help = "name under which the second tier's file is made; it has no name afterwards"});
  t.add("kv.events_zmq", "--kv-events-zmq", WEIR_FIELD(kv_events.publish),
        {.unset = "none",
         .help = "ZeroMQ address to publish cache events at as vLLM does, like "
                 "tcp://127.0.0.1:5557; whoever reaches it reads the tokens of prompts"});
  t.add("kv.events_zmq_replay", "--kv-events-zmq-replay", WEIR_FIELD(kv_events.replay),
        {.unset = "none", .help = "ZeroMQ address that repeats missed cache events"});
  t.add("kv.events_remote", "--kv-events-remote", WEIR_FIELD(kv_events.remote),
        {.help = "kv.events_zmq may be an address that other machines reach"});
  t.add("kv.events_topic", "--kv-events-topic", WEIR_FIELD(kv_events.topic),
        {.unset = "empty", .help = "topic of published cache events, like kv@ADDRESS@MODEL"});
  t.add("kv.type", "--kv-type", WEIR_FIELD(kv.both),
        {.choices = {"f16", "bf16", "q8_0", "q4_0"},
         .help = "type of cached keys and values: f16, bf16, q8_0 or q4_0"});
  t.add("kv.type_k", "--kv-type-k", WEIR_FIELD(kv.k),
        {.choices = {"", "f16", "bf16", "q8_0", "q4_0"},
         .unset = "kv.type",
         .help = "type of cached keys"});
  t.add("kv.type_v", "--kv-type-v", WEIR_FIELD(kv.v),
        {.choices = {"", "f16", "bf16", "q8_0", "q4_0"},
         .unset = "kv.type",
         .help = "type of cached values"});
}

void add_speculation(Table& t) {
  t.add(
      "speculation.depth", "--speculate", WEIR_FIELD(speculate),
      {.help = "tokens of a request guessed from its own text and verified in one step: off, auto "
               "(as many as pay) or a number; the answer is the same"});
  t.add("speculation.shared_tokens", "--speculate-shared",
        WEIR_FIELD(limits.speculation.shared_tokens),
        {.min = 0,
         .max = 65536,
         .unit = "tokens",
         .unset = "none",
         .help = "guesses come from earlier answers to the same tenant (and cache_salt) too: the "
                 "newest so many tokens"});
  t.add("speculation.draft", "--draft", WEIR_FIELD(draft),
        {.unset = "none",
         .help = "a smaller MODEL with the same vocabulary that guesses where the text does not"});
}

void add_slo(Table& t, const char* path, const char* flag, double& (*field)(ServeOptions&),
             const char* unset, const char* help) {
  t.add(path, flag, field, {.min = 0.1, .max = 1e7, .unit = "ms", .unset = unset, .help = help});
}

void add_slos(Table& t) {
  add_slo(t, "slo.itl_ms", "--slo-itl-ms", WEIR_FIELD(slo.itl_ms),
          "1.6 times what the decoding requests take alone",
          "time between two tokens that prompts of others may not stretch beyond");
  add_slo(t, "slo.ttft_ms", "--slo-ttft-ms", WEIR_FIELD(slo.ttft_ms), "none",
          "time to first token");
  add_slo(t, "slo.interactive.itl_ms", "--slo-interactive-itl-ms",
          WEIR_FIELD(limits.interactive.itl_ms), "slo.itl_ms", "for requests that are not batch");
  add_slo(t, "slo.interactive.ttft_ms", "--slo-interactive-ttft-ms",
          WEIR_FIELD(limits.interactive.ttft_ms), "slo.ttft_ms", "for requests that are not batch");
  add_slo(t, "slo.batch.itl_ms", "--slo-batch-itl-ms", WEIR_FIELD(limits.batch.itl_ms),
          "slo.itl_ms", "for batch requests");
  add_slo(t, "slo.batch.ttft_ms", "--slo-batch-ttft-ms", WEIR_FIELD(limits.batch.ttft_ms),
          "slo.ttft_ms", "for batch requests");
  t.add("calibrate", "--calibrate", WEIR_FIELD(calibrate),
        {.help = "time steps before serving, instead of learning what they cost as they come"});
}

void add_limits(Table& t) {
  t.add("limits.step_tokens", "--step-tokens", WEIR_FIELD(limits.step_tokens),
        {.min = 1,
         .max = 8192,
         .unit = "tokens",
         .unset = "512; of an encoder its window, up to 2048",
         .help = "tokens of one engine step"});
  t.add("limits.prefill_chunk_tokens", "--prefill-chunk", WEIR_FIELD(limits.prefill_chunk_tokens),
        {.min = 1, .max = 8192, .unit = "tokens", .help = "tokens of one prompt in a step"});
  t.add("limits.max_running", "--max-running", WEIR_FIELD(limits.max_running),
        {.min = 1, .max = 4096, .help = "requests computed at once"});
  t.add("limits.max_queued_requests", "--max-queued-requests",
        WEIR_FIELD(limits.max_queued_requests),
        {.min = 1, .max = 1 << 20, .help = "requests that may wait; beyond: 503 with Retry-After"});
  t.add(
      "limits.max_queued_tokens", "--max-queued-tokens", WEIR_FIELD(limits.max_queued_tokens),
      {.min = 1, .max = 1099511627776.0, .unit = "tokens", .help = "prompt tokens that may wait"});
  t.add("limits.queue_timeout_s", "--queue-timeout-s", WEIR_FIELD(queue_timeout_s),
        {.min = 0.01,
         .max = 1e6,
         .unit = "s",
         .unset = "none",
         .help = "how long a request may wait for its first step; beyond: 503"});
  t.add("fairness", "--fairness", WEIR_FIELD(fairness),
        {.choices = {"vtc", "fifo"},
         .help = "between tenants: vtc (by the tokens they have had) or fifo (by arrival)"});
  t.add("limits.max_input_tokens", "--max-input-tokens", WEIR_FIELD(limits.max_input_tokens),
        {.min = 1,
         .max = kMaxTokens,
         .unit = "tokens",
         .unset = "the context",
         .help = "longest prompt"});
  t.add("limits.max_output_tokens", "--max-output-tokens", WEIR_FIELD(limits.max_output_tokens),
        {.min = 1,
         .max = kMaxTokens,
         .unit = "tokens",
         .unset = "the context",
         .help = "longest output"});
  t.add("limits.max_connections", "--max-connections", WEIR_FIELD(server.http.max_connections),
        {.min = 1, .max = 1 << 20, .help = "open connections; beyond: 503"});
  t.add(
      "limits.max_body_bytes", "--max-body-bytes", WEIR_FIELD(server.http.body_bytes),
      {.min = 1024, .max = 1 << 30, .unit = "bytes", .help = "largest request body; beyond: 413"});
  t.add("limits.max_embeddings_bytes", "--max-embeddings-bytes",
        WEIR_FIELD(server.api.max_embeddings_bytes),
        {.min = 1024,
         .max = 1 << 30,
         .unit = "bytes",
         .reloadable = true,
         .help = "largest answer of /v1/embeddings; what may get longer: 400"});
}

// Whether a file can be made where `path` says; an empty path is none. Error: kUsage.
Status check_folder(std::string_view key, const std::string& path) {
  if (path.empty()) return {};
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (::access(folder.c_str(), W_OK | X_OK) == 0) return {};
  return make_error(ErrorCode::kUsage, "{} is {}: its folder cannot be written to: {}", key, path,
                    std::strerror(errno));
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

}  // namespace

ServeOptions::ServeOptions() {
  server.http.body_bytes = 8 << 20;  // a window of a million tokens has about 4 MB
}

void add_serve_flags(CLI::App* command, ServeGiven& given) {
  command->add_option_function<std::string>(
      "MODEL", [&given](const std::string& model) { given.flags["model"] = {model}; },
      "GGUF file, folder of a Hugging Face model, or a name under models/ (or model: in the file)");
  command->add_option("--config", given.config_file,
                      "YAML file; a flag wins over a WEIR_* variable, that over the file");
  add_key_flags(command, given.table.keys(), given.flags);
}

Result<ServeOptions> make_options(const config::Table<ServeOptions>& table,
                                  const config::Settings& settings) {
  ServeOptions o = table.make(settings);
  o.limits.fairness = o.fairness == "vtc" ? engine::Fairness::kVtc : engine::Fairness::kFifo;
  o.limits.queue_timeout_ms = o.queue_timeout_s * 1e3;
  apply_slo(o.slo, o.limits.interactive);
  apply_slo(o.slo, o.limits.batch);
  WEIR_TRY(server::check_addresses(o.kv_events));
  if (std::find(o.server.api_keys.begin(), o.server.api_keys.end(), "") !=
      o.server.api_keys.end()) {
    return make_error(ErrorCode::kUsage,
                      "api_keys (--api-key) has an empty key, which no request can present; is a "
                      "variable of the shell not set?");
  }
  WEIR_TRY(read_admin_token(o));
  WEIR_ASSIGN(o.limits.speculation.depth, parse_speculate(o.speculate));
  return o;
}

Status check_options(const ServeOptions& o) {
  if (!o.tier_file.empty() && o.tier_bytes == 0) {
    return make_error(
        ErrorCode::kUsage,
        "kv.tier_file (--kv-tier-file) is {} and kv.tier_bytes is 0, so nothing would "
        "be kept there; give --kv-tier-bytes N as well",
        o.tier_file);
  }
  WEIR_TRY(check_folder("kv.snapshot (--kv-snapshot)", o.prefix.snapshot_path));
  WEIR_TRY(check_folder("kv.tier_file (--kv-tier-file)", o.tier_file));
  return server::check_config(o.server);
}

config::Table<ServeOptions> serve_table() {
  Table t;
  add_server(t);
  add_telemetry(t);
  add_engine(t);
  add_speculation(t);
  add_slos(t);
  add_limits(t);
  return t;
}

}  // namespace weir::cli
