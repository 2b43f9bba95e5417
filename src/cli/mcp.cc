// weir mcp: the commands, the pages and the protocols of the loop for agents.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>

#include "base/clock.h"
#include "cli/mcp_tools.h"
#include "cli/ops_commands.h"
#include "http/server.h"
#include "mcp/http_endpoint.h"
#include "mcp/stdio.h"
#include "mcp/token.h"
#include "ops/skill/pack.h"
#include "ops/skill/page.h"
#include "os/job.h"
#include "os/limits.h"
#include "os/signals.h"
#include "text/utf8.h"

namespace weir::cli {
namespace {

constexpr size_t kMaxOutput = 1U << 20U;
constexpr double kProgressS = 1.0;
constexpr size_t kShownLine = 200;

struct Options {
  int port = -1;  // -1: over standard input and output
  int timeout_s = 600;
  size_t calls_at_once = 4;
  std::vector<std::string> origins;
  std::string token_file;
  bool no_token = false;
};

constexpr const char* kTokenVariable = "WEIR_MCP_TOKEN";

// The token of --http, "" with --no-token. The variable is taken out of the environment, which the
// commands inherit.
Result<std::string> find_token(const Options& o) {
  const char* variable =
      std::getenv(kTokenVariable);  // NOLINT(concurrency-mt-unsafe): no thread yet
  const std::string said = variable == nullptr ? "" : variable;
  ::unsetenv(kTokenVariable);  // NOLINT(concurrency-mt-unsafe)
  if (o.no_token) return std::string();
  if (!o.token_file.empty()) return mcp::read_token_file(o.token_file);
  if (!said.empty()) {
    WEIR_TRY(mcp::check_token(said, kTokenVariable));
    return said;
  }
  return make_error(ErrorCode::kUsage,
                    "--http runs commands for whoever asks, so it wants a token: openssl rand -hex "
                    "24 > mcp.token; chmod 600 mcp.token; weir mcp --http {} --token-file "
                    "mcp.token, or {} in the environment; --no-token serves every process and "
                    "user of this machine",
                    o.port, kTokenVariable);
}

// The last whole line of what a command says while it works.
std::string last_line(const std::string& said) {
  const size_t end = said.find_last_not_of("\r\n ");
  if (end == std::string::npos) return "";
  const size_t begin = said.find_last_of("\r\n", end);
  const size_t from = begin == std::string::npos ? 0 : begin + 1;
  const std::string line = text::replace_invalid_utf8(said.substr(from, end + 1 - from));
  return std::string(text::cut_utf8(line, kShownLine));
}

// Runs this program with the words of a call, in a process of its own.
mcp::RunCall runner(int timeout_s) {
  std::error_code error;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", error).string();
  return [self, timeout_s](const mcp::ToolCall& call, const std::function<bool()>& stopped,
                           const std::function<void(double, std::string_view)>& progress) {
    os::JobSpec spec;
    spec.command = {self};
    spec.command.insert(spec.command.end(), call.command.begin(), call.command.end());
    spec.max_bytes = kMaxOutput;
    mcp::ToolOutput out;
    out.timeout_s = timeout_s;
    auto job = os::Job::start(spec);
    if (!job.ok()) {
      out.end = mcp::ToolOutput::End::kNotRun;
      out.errors = job.error().message;
      return out;
    }
    const SystemClock clock;
    const int64_t begin = clock.now_ns();
    double told_s = 0;
    const os::JobEnd end = job->wait(timeout_s * 1000, [&] {
      const double now_s = static_cast<double>(clock.now_ns() - begin) / 1e9;
      if (now_s - told_s >= kProgressS) {
        told_s = now_s;
        progress(now_s, last_line(job->errors()));
      }
      return stopped();
    });
    using Why = os::JobEnd::Why;
    if (end.why == Why::kTimeout) out.end = mcp::ToolOutput::End::kTimeout;
    if (end.why == Why::kSignal) out.end = mcp::ToolOutput::End::kSignal;
    out.code = end.code;
    out.output = end.output;
    out.errors = end.errors;
    out.cut = end.cut;
    return out;
  };
}

mcp::ServerContent content(const CLI::App& root) {
  mcp::ServerContent out;
  out.version = WEIR_VERSION;
  out.tools = mcp_tools(root);
  for (const ops::SkillFile& file : ops::built_in_skill()) {
    mcp::Resource r;
    r.uri = "weir://skill/" + file.name;
    r.name = file.name;
    const bool page = file.name.ends_with(".md");
    r.mime_type = page ? "text/markdown" : "application/json";
    const auto read = ops::read_page(file.text, file.name);
    r.title = page && read.ok() && !read->title.empty() ? read->title : file.name;
    r.text = file.text;
    out.resources.push_back(std::move(r));
  }
  return out;
}

Result<int> serve_http(const mcp::Protocol& protocol, const Options& o) {
  WEIR_ASSIGN(const std::string token, find_token(o));
  WEIR_ASSIGN(os::Signals signals, os::Signals::block({SIGINT, SIGTERM}));
  os::ignore_sigpipe();
  std::random_device entropy;
  const auto draw = [&entropy] { return (uint64_t{entropy()} << 32U) | entropy(); };
  mcp::EndpointOptions endpoint_options;
  endpoint_options.calls_at_once = o.calls_at_once;
  endpoint_options.allow_origins = o.origins;
  endpoint_options.token = token;
  endpoint_options.random = draw;
  // Before the server, which ends first: it tells the calls that their clients are gone.
  mcp::HttpEndpoint endpoint(protocol, runner(o.timeout_s), endpoint_options);
  http::ServerOptions options;
  options.port = static_cast<uint16_t>(o.port);
  options.limits.body_bytes = mcp::kMaxMessageBytes;
  options.allowed_hosts = {"127.0.0.1", "localhost", "[::1]"};
  options.request_id_seed = draw();
  const SystemClock clock;
  auto server = http::Server::start(
      options,
      [&endpoint](const http::Request& request, http::ResponseWriter writer) {
        endpoint.handle(request, std::move(writer));
      },
      {}, clock);
  if (!server.ok()) {
    fmt::print(stderr, "weir: {}\n", server.error().message);
    return kExitUnavailable;
  }
  fmt::print("weir: ready http://127.0.0.1:{}/mcp\n", (*server)->port());
  std::fflush(stdout);
  WEIR_ASSIGN(const std::optional<int> signal, signals.wait(-1));
  (void)signal;
  return kExitOk;
}

Result<int> serve(const CLI::App& root, const Options& o) {
  const mcp::Protocol protocol(content(root));
  if (o.port >= 0) return serve_http(protocol, o);
  os::ignore_sigpipe();
  WEIR_TRY(mcp::serve_stdio(protocol, runner(o.timeout_s), o.calls_at_once, STDIN_FILENO,
                            STDOUT_FILENO));
  return kExitOk;
}

}  // namespace

void add_mcp(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(
      root, "mcp", "The commands as tools for an agent, over the Model Context Protocol",
      "  weir mcp               over standard input and output, as an agent starts it\n"
      "  weir mcp --http 8123 --token-file mcp.token   at http://127.0.0.1:8123/mcp\n"
      "  weir skill install .   writes the entry for an agent\n");
  c->add_option("--http", o->port, "serve on this port of 127.0.0.1 instead; 0 takes a free one")
      ->check(CLI::Range(0, 65535));
  CLI::Option* token = c->add_option(
      "--token-file", o->token_file,
      "with --http: clients present its first line as Authorization: Bearer TOKEN (mode 600; or "
      "WEIR_MCP_TOKEN)");
  c->add_flag("--no-token", o->no_token, "with --http: serve whoever reaches this machine's port")
      ->excludes(token);
  c->add_option("--timeout", o->timeout_s, "seconds that a call may take")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  c->add_option("--calls-at-once", o->calls_at_once, "calls that run at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  c->add_option("--allow-origin", o->origins,
                "an Origin whose pages may call, beside those of this machine, such as "
                "https://a.example");
  c->callback([o, &root, &selected] { selected.action = [o, &root] { return serve(root, *o); }; });
}

}  // namespace weir::cli
