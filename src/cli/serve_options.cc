#include "cli/serve_options.h"

#include "cli/key_flags.h"

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
  t.add("log.level", "--log-level", WEIR_FIELD(log_level),
        {.choices = {"debug", "info", "warn", "error", "off"},
         .reloadable = true,
         .help = "debug, info, warn, error or off"});
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
  t.add("kv.no_prefix_cache", "--no-prefix-cache", WEIR_FIELD(no_prefix_cache),
        {.help = "compute every prompt anew, also what requests of a tenant begin with alike"});
  t.add("kv.type", "--kv-type", WEIR_FIELD(kv.both),
        {.help = "type of cached keys and values: f16, bf16, q8_0 or q4_0"});
  t.add("kv.type_k", "--kv-type-k", WEIR_FIELD(kv.k),
        {.unset = "kv.type", .help = "type of cached keys"});
  t.add("kv.type_v", "--kv-type-v", WEIR_FIELD(kv.v),
        {.unset = "kv.type", .help = "type of cached values"});
}

void add_slo(Table& t) {
  const auto add = [&t](const char* key, const char* flag, auto field, const char* unset,
                        const char* help) {
    t.add(key, flag, field, {.min = 0.1, .max = 1e7, .unit = "ms", .unset = unset, .help = help});
  };
  add("slo.itl_ms", "--slo-itl-ms", WEIR_FIELD(slo.itl_ms),
      "1.6 times what the decoding requests take alone",
      "time between two tokens that prompts of others may not stretch beyond");
  add("slo.ttft_ms", "--slo-ttft-ms", WEIR_FIELD(slo.ttft_ms), "none", "time to first token");
  add("slo.interactive.itl_ms", "--slo-interactive-itl-ms", WEIR_FIELD(limits.interactive.itl_ms),
      "slo.itl_ms", "for requests that are not batch");
  add("slo.interactive.ttft_ms", "--slo-interactive-ttft-ms",
      WEIR_FIELD(limits.interactive.ttft_ms), "slo.ttft_ms", "for requests that are not batch");
  add("slo.batch.itl_ms", "--slo-batch-itl-ms", WEIR_FIELD(limits.batch.itl_ms), "slo.itl_ms",
      "for batch requests");
  add("slo.batch.ttft_ms", "--slo-batch-ttft-ms", WEIR_FIELD(limits.batch.ttft_ms), "slo.ttft_ms",
      "for batch requests");
  t.add("no_calibrate", "--no-calibrate", WEIR_FIELD(no_calibrate),
        {.help = "do not time steps before serving; learn what they cost as they come"});
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

config::Table<ServeOptions> serve_table() {
  Table t;
  add_server(t);
  add_engine(t);
  add_slo(t);
  add_limits(t);
  return t;
}

}  // namespace weir::cli
