// weir config nginx and haproxy: streams pass unbuffered, the least busy replica is taken, and only
// what no byte has come back for is tried again.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/config_write/write.h"
#include "ops/config_write/yaml_text.h"

namespace weir::ops {
namespace {

// A block of directives, each with its reason.
struct Section {
  std::string head;
  std::vector<ConfigLine> lines;
  std::vector<Section> sections;
};

enum class Style : uint8_t { kNginx, kHaproxy };

std::string render(const Section& s, Style style, int indent) {
  const std::string pad(static_cast<size_t>(indent), ' ');
  const bool nginx = style == Style::kNginx;
  std::string out;
  int inside = indent;
  if (!s.head.empty()) {
    out += pad + s.head + (nginx ? " {\n" : "\n");
    inside += 2;
  }
  for (const ConfigLine& l : s.lines) {
    if (!l.why.empty()) out += comment_lines(l.reason(), inside);
    out += std::string(static_cast<size_t>(inside), ' ') + l.key + (l.value.empty() ? "" : " ") +
           l.value + (nginx ? ";\n" : "\n");
  }
  for (const Section& child : s.sections) out += render(child, style, inside);
  if (!s.head.empty() && nginx) out += pad + "}\n";
  return out;
}

// A token is some 4 bytes of text; escapes in JSON and the rest of the request double it.
constexpr int64_t kBytesPerToken = 8;
constexpr int64_t kMegabyte = 1 << 20;
constexpr int64_t kOthers = 256;  // connections beside those of requests. A hypothesis.

int64_t body_megabytes(const PlanFile& p) {
  return std::max<int64_t>(1, (p.context_tokens * kBytesPerToken + kMegabyte - 1) / kMegabyte);
}

struct ProxyFacts {
  std::string name, health, body_why, connections_why, read_why;
  std::vector<std::string> servers;
  int64_t connections = 0;  // of a replica
  int64_t open = 0;         // clients of all replicas at once
  std::string open_why;
  int64_t body_mb = 1;
  int read_s = 60, queue_s = 5;
};

ProxyFacts facts_of(const WriteContext& c, const EnvironmentValues& e) {
  const PlanFile& p = *c.plan;
  ProxyFacts f;
  f.name = object_name(p);
  f.health = c.profile->ready_path;
  WriteContext own = c;
  own.environment = e;
  f.servers = backend_addresses(own);
  f.connections = e.max_running + std::max<int64_t>(1, e.max_queued);
  f.connections_why = fmt::format("{} run and {} may wait in a replica: {}", e.max_running,
                                  std::max<int64_t>(1, e.max_queued), e.limits_why);
  f.body_mb = body_megabytes(p);
  f.open = static_cast<int64_t>(f.servers.size()) * f.connections + kOthers;
  f.open_why =
      fmt::format("{} replicas x {} requests that run or wait, and {} for probes and others",
                  f.servers.size(), f.connections, kOthers);
  f.body_why = fmt::format("{} tokens of context, {} bytes each as JSON: {:.2f} MiB, rounded up",
                           p.context_tokens, kBytesPerToken,
                           static_cast<double>(p.context_tokens * kBytesPerToken) / kMegabyte);
  f.read_s = longest_answer_s(p);
  f.read_why =
      "silence before the first token and between tokens stays below " + longest_answer_why(p);
  if (p.slo.ttft_ms_p95 > 0)
    f.queue_s = std::max(1, static_cast<int>(std::ceil(p.slo.ttft_ms_p95 / 1000)));
  return f;
}

const std::string kPlan(kFromPlan), kGuess(kHypothesis);

Section nginx_upstream(const ProxyFacts& f) {
  Section s{"upstream " + f.name, {}, {}};
  s.lines = {{"zone", f.name + " 64k", "counts are shared by all worker processes", kGuess},
             {"least_conn", "",
              "answers differ in length by orders of magnitude, so turns do not "
              "share load evenly",
              kGuess}};
  std::string why = f.connections_why +
                    "; a server that fails is left out for ten seconds (checks beside requests "
                    "are not in the free nginx)";
  for (const std::string& server : f.servers) {
    s.lines.push_back(
        {"server",
         fmt::format("{} max_conns={} max_fails=2 fail_timeout=10s", server, f.connections), why,
         kPlan});
    why.clear();
  }
  s.lines.push_back(
      {"keepalive", "64", "connections to the engines stay open", "nginx-proxy-docs"});
  return s;
}

Section nginx_server(const ProxyFacts& f) {
  Section api{"location /v1/", {}, {}};
  api.lines = {
      {"proxy_pass", "http://" + f.name, "to the replicas above", kPlan},
      {"proxy_http_version", "1.1", "streams and kept connections need it", "nginx-proxy-docs"},
      {"proxy_set_header", "Connection \"\"", "or connections close after each request",
       "nginx-proxy-docs"},
      {"proxy_set_header", "Host $host", "what the client asked, for the engine's log", kGuess},
      {"proxy_set_header", "X-Request-Id $request_id", "one id in the logs of all", kGuess},
      {"proxy_buffering", "off", "tokens pass as they come", "nginx-proxy-docs"},
      {"proxy_cache", "off", "answers are of one client alone", kGuess},
      {"gzip", "off", "compression waits for more tokens", kGuess},
      {"proxy_connect_timeout", "2s", "a server that is gone is found before a person gives up",
       kGuess},
      {"proxy_read_timeout", fmt::format("{}s", f.read_s), f.read_why, "nginx-proxy-docs"},
      {"proxy_send_timeout", "30s", "a prompt is read at once, or the engine hangs", kGuess},
      {"proxy_next_upstream", "error http_503 non_idempotent",
       "tried again only before the first byte of an answer, and not after a timeout, which would "
       "compute the same twice",
       "nginx-proxy-docs"},
      {"proxy_next_upstream_tries", "2", "one other server, no storm", "sre-handling-overload"},
      {"proxy_next_upstream_timeout", fmt::format("{}s", f.queue_s),
       "later than the first token is due it helps nobody", kPlan},
  };
  Section health{"location = /health", {}, {}};
  health.lines = {
      {"access_log", "off", "probes would fill the log", kGuess},
      {"proxy_pass", "http://" + f.name + f.health, "whether any replica is ready", kGuess},
      {"proxy_next_upstream_tries", "2", "a probe asks one other server, not all",
       "sre-handling-overload"}};
  Section rest{"location /", {}, {}};
  rest.lines = {
      {"return", "404", "engines have paths beside /v1/ that no key guards", "vllm-security-docs"}};
  Section server{"server", {}, {}};
  server.lines = {
      {"listen", "127.0.0.1:8088", "TLS ends in front, or add listen 443 ssl and its keys here",
       kGuess},
      {"client_max_body_size", fmt::format("{}m", f.body_mb), f.body_why, kPlan},
      {"client_header_timeout", "10s", "a request that trickles in holds nothing",
       "owasp-llm10-2025"},
      {"client_body_timeout", "10s", "between two pieces of the body", "owasp-llm10-2025"},
  };
  server.sections = {std::move(api), std::move(health), std::move(rest)};
  return server;
}

std::vector<ConfigLine> flat(const Section& s, const std::string& path) {
  std::vector<ConfigLine> out;
  const std::string here = path + (path.empty() || s.head.empty() ? "" : " / ") + s.head;
  for (const ConfigLine& l : s.lines) {
    ConfigLine line = l;
    const std::string first = l.key == "server" || l.key == "proxy_set_header"
                                  ? " " + l.value.substr(0, l.value.find(' '))
                                  : "";
    line.key = fmt::format("{}{}{}{}", here, here.empty() ? "" : " / ", l.key, first);
    out.push_back(std::move(line));
  }
  for (const Section& child : s.sections) {
    for (ConfigLine& l : flat(child, here)) out.push_back(std::move(l));
  }
  return out;
}

Section nginx_file(const ProxyFacts& f) {
  Section events{"events", {}, {}};
  // Of each worker process: one may get them all.
  events.lines = {{"worker_connections", fmt::format("{}", 2 * f.open),
                   "a stream holds two for its whole answer: twice " + f.open_why, kPlan}};
  Section http{"http", {}, {nginx_upstream(f), nginx_server(f)}};
  Section file{"", {}, {std::move(events), std::move(http)}};
  file.lines = {{"worker_processes", "auto", "one for each core", kGuess},
                {"worker_rlimit_nofile", fmt::format("{}", 2 * f.open + kOthers),
                 "a file for each connection, and logs", kGuess}};
  return file;
}

Section haproxy_backend(const ProxyFacts& f) {
  Section s{"backend " + f.name, {}, {}};
  s.lines = {
      {"balance", "leastconn",
       "answers differ in length by orders of magnitude, so turns do not share load evenly",
       kGuess},
      {"option", "httpchk", "servers are checked beside requests", kGuess},
      {"http-check", "send meth GET uri " + f.health, "an engine that loads is not ready", kGuess},
      {"http-check", "expect status 200", "503 while it loads or drains", kGuess},
      {"retries", "1", "one other server, no storm", "sre-handling-overload"},
      {"option", "redispatch", "to another server, not the same again", kGuess},
      {"retry-on", "conn-failure empty-response 503", "only before the first byte of an answer",
       kGuess},
      {"timeout", fmt::format("queue {}s", f.queue_s),
       "who waits longer gets 503: later than the first token is due it helps nobody", kPlan},
      {"default-server",
       fmt::format("check inter 5s fall 3 rise 2 slowstart 30s maxconn {}", f.connections),
       f.connections_why, kPlan}};
  for (size_t i = 0; i < f.servers.size(); ++i)
    s.lines.push_back({"server", fmt::format("replica{} {}", i, f.servers[i]),
                       i == 0 ? "the replicas" : "", kPlan});
  return s;
}

Section haproxy_file(const ProxyFacts& f) {
  Section global{"global", {}, {}};
  global.lines = {
      {"maxconn", fmt::format("{}", f.open),
       "a stream holds one for its whole answer: " + f.open_why, kPlan},
      {"log", "stdout format raw local0", "for whoever collects a container's output", kGuess}};
  Section defaults{"defaults", {}, {}};
  defaults.lines = {
      {"mode", "http", "paths and bodies are looked at", kGuess},
      {"log", "global", "as above", kGuess},
      {"option", "httplog", "times of queue, connection and answer in each line", kGuess},
      {"timeout", "connect 2s", "a server that is gone is found before a person gives up", kGuess},
      {"timeout", "http-request 10s", "a request that trickles in holds nothing", kGuess},
      {"timeout", fmt::format("client {}s", f.read_s), f.read_why, kPlan},
      {"timeout", fmt::format("server {}s", f.read_s), f.read_why, kPlan},
  };
  Section front{"frontend inference", {}, {}};
  front.lines = {
      {"bind", "127.0.0.1:8088", "TLS ends in front, or add ssl crt here", kGuess},
      {"http-request",
       fmt::format("deny deny_status 413 if {{ req.body_size gt {} }}", f.body_mb * kMegabyte),
       f.body_why, kPlan},
      {"http-request", "deny deny_status 404 unless { path_beg /v1/ } or { path /health }",
       "engines have paths beside /v1/ that no key guards", "vllm-security-docs"},
      {"default_backend", f.name, "to the replicas below", kPlan},
  };
  return {"", {}, {std::move(global), std::move(defaults), std::move(front), haproxy_backend(f)}};
}

// A directive may stand several times: what both have goes out first, then those that are left of
// one kind are held against each other in their order.
std::vector<EnvironmentDifference> differences(const Section& base, const Section& own,
                                               const std::string& file) {
  std::vector<ConfigLine> before = flat(base, ""), after;
  for (ConfigLine& l : flat(own, "")) {
    const auto same = std::find_if(before.begin(), before.end(), [&](const ConfigLine& b) {
      return b.key == l.key && b.value == l.value;
    });
    if (same == before.end()) {
      after.push_back(std::move(l));
    } else {
      before.erase(same);
    }
  }
  std::vector<EnvironmentDifference> out;
  for (const ConfigLine& l : after) {
    const auto b = std::find_if(before.begin(), before.end(),
                                [&](const ConfigLine& o) { return o.key == l.key; });
    out.push_back(
        {file, l.key, b == before.end() ? "" : b->value, l.value, l.why.empty() ? "" : l.reason()});
    if (b != before.end()) before.erase(b);
  }
  for (const ConfigLine& b : before) out.push_back({file, b.key, b.value, "", ""});
  return out;
}

void note_backends(const WriteContext& c, WrittenConfig& out) {
  if (c.request->backends.empty())
    out.notes.emplace_back(
        "servers are ports of this machine: name the replicas with --backend "
        "HOST:PORT");
}

}  // namespace

Status write_nginx(const WriteContext& c, WrittenConfig& out) {
  const Section own = nginx_file(facts_of(c, c.environment));
  const Section base = nginx_file(facts_of(c, c.base));
  out.files.push_back({c.path("nginx.conf"), file_head(c) + render(own, Style::kNginx, 0)});
  out.differences = differences(base, own, c.path("nginx.conf"));
  note_backends(c, out);
  return {};
}

Status write_haproxy(const WriteContext& c, WrittenConfig& out) {
  const Section own = haproxy_file(facts_of(c, c.environment));
  const Section base = haproxy_file(facts_of(c, c.base));
  out.files.push_back({c.path("haproxy.cfg"), file_head(c) + render(own, Style::kHaproxy, 0)});
  out.differences = differences(base, own, c.path("haproxy.cfg"));
  note_backends(c, out);
  return {};
}

}  // namespace weir::ops
