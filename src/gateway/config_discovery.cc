// Pools whose endpoints come and go: {dns: …} and {kubernetes: …} under endpoints.
#include <charconv>

#include "gateway/config_keys.h"
#include "gateway/config_reader.h"
#include "http/url.h"
#include "os/file.h"

namespace weir::gateway {
namespace {

using config::Node;

// What a pod has of its cluster (kubernetes.io/docs/tasks/run-application/access-api-from-pod).
constexpr std::string_view kAccount = "/var/run/secrets/kubernetes.io/serviceaccount/";
constexpr uint64_t kMaxNamespaceBytes = 1'024;

config::Table<DnsConfig> dns_table() {
  config::Table<DnsConfig> t;
  t.add("name", "", WEIR_FIELD(DnsConfig, name), {});
  t.add("port", "", WEIR_FIELD(DnsConfig, port), {.min = 0, .max = 65535});
  t.add("interval_ms", "", WEIR_FIELD(DnsConfig, interval_ms), {.min = 10, .max = kDayMs});
  t.add("keep_ms", "", WEIR_FIELD(DnsConfig, keep_ms), {.min = 0, .max = 30 * kDayMs});
  t.add("scheme", "", WEIR_FIELD(DnsConfig, scheme), {.choices = {"http", "https"}});
  t.add("path", "", WEIR_FIELD(DnsConfig, path), {});
  t.add("region", "", WEIR_FIELD(DnsConfig, region), {});
  t.add("zone", "", WEIR_FIELD(DnsConfig, zone), {});
  return t;
}

config::Table<KubernetesConfig> kubernetes_table() {
  config::Table<KubernetesConfig> t;
  t.add("service", "", WEIR_FIELD(KubernetesConfig, service), {});
  t.add("namespace", "", WEIR_FIELD(KubernetesConfig, name_space), {});
  t.add("port", "", WEIR_FIELD(KubernetesConfig, port), {});
  t.add("scheme", "", WEIR_FIELD(KubernetesConfig, scheme), {.choices = {"http", "https"}});
  t.add("path", "", WEIR_FIELD(KubernetesConfig, path), {});
  t.add("region", "", WEIR_FIELD(KubernetesConfig, region), {});
  t.add("api_url", "", WEIR_FIELD(KubernetesConfig, api_url), {});
  t.add("token_file", "", WEIR_FIELD(KubernetesConfig, token_file), {});
  t.add("ca_file", "", WEIR_FIELD(KubernetesConfig, ca_file), {});
  t.add("watch", "", WEIR_FIELD(KubernetesConfig, watch), {});
  t.add("interval_ms", "", WEIR_FIELD(KubernetesConfig, interval_ms), {.min = 100, .max = kDayMs});
  return t;
}

// A label of RFC 1123, as Kubernetes names services, namespaces and ports.
bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

bool is_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0;
}

class DiscoveryReader {
 public:
  // node: the map under dns or kubernetes.
  DiscoveryReader(const ConfigReader& reader, UpstreamConfig& u, const Node& node)
      : reader_(reader), u_(u), node_(node) {}

  Status read_dns() {
    WEIR_ASSIGN(u_.dns, reader_.fields(dns_table(), node_));
    // The name stands where a host does, and nothing else: no port, no path.
    const auto url = http::parse_http_or_https_url("http://" + u_.dns->name);
    if (!url.ok() || url->host != u_.dns->name)
      return wrong("name", "dns: name must be a name of the DNS, as pods.example.com");
    if (u_.dns->port == 0) return wrong("port", "dns: port is needed, as port: 8000");
    return check_path(u_.dns->path);
  }

  Status read_kubernetes() {
    WEIR_ASSIGN(KubernetesConfig k, reader_.fields(kubernetes_table(), node_));
    if (!is_label(k.service))
      return wrong("service", "kubernetes: service must be the name of a Service");
    if (k.name_space.empty()) {
      auto own = os::read_file(std::string(kAccount) + "namespace", kMaxNamespaceBytes);
      if (own.ok()) k.name_space = *own;
      while (k.name_space.ends_with('\n')) k.name_space.pop_back();
    }
    if (!is_label(k.name_space))
      return wrong("namespace",
                   "kubernetes: namespace must be the name of one; outside of a cluster it is "
                   "needed");
    const bool digits = k.port.find_first_not_of("0123456789") == std::string::npos;
    if (!k.port.empty() && !(digits ? is_port(k.port) : is_label(k.port)))
      return wrong("port",
                   "kubernetes: port must be a number from 1 to 65535 or the name of a port");
    WEIR_TRY(check_path(k.path));
    const std::string key = fmt::format("upstreams.{}.endpoints.kubernetes.", u_.name);
    k.token_file = reader_.file(key + "token_file", k.token_file, line_of(node_, "token_file"));
    k.ca_file = reader_.file(key + "ca_file", k.ca_file, line_of(node_, "ca_file"));
    WEIR_TRY(find_api(k));
    u_.kubernetes = std::move(k);
    return {};
  }

 private:
  // key: of the map.
  Error wrong(std::string_view key, const std::string& what) const {
    return reader_.wrong(line_of(node_, key), fmt::format("upstreams.{}: {}", u_.name, what));
  }

  Status check_path(std::string& path) const {
    while (path.ends_with('/')) path.pop_back();
    const auto url = http::parse_http_or_https_url("http://a" + path);
    if (!path.empty() && (path.front() != '/' || !url.ok()))
      return wrong("path", "path must begin with /, as /base, and have no query");
    if (const auto behind = ConfigReader::api_path_behind(path); !behind.empty())
      return wrong("path", fmt::format("path: the gateway itself puts {} behind it; leave that out",
                                       behind));
    return {};
  }

  // In a pod everything is there; outside, api_url says where, and nothing else is taken for
  // granted.
  Status find_api(KubernetesConfig& k) const {
    const auto variable = [&](const std::string& name) {
      return reader_.environment() ? reader_.environment()(name).value_or("") : "";
    };
    if (k.api_url.empty()) {
      std::string host = variable("KUBERNETES_SERVICE_HOST");
      const std::string port = variable("KUBERNETES_SERVICE_PORT");
      if (host.empty() || port.empty())
        return wrong("api_url",
                     "kubernetes: not in a cluster (KUBERNETES_SERVICE_HOST is not set): give "
                     "api_url, as http://127.0.0.1:8001 of kubectl proxy");
      if (host.find(':') != std::string::npos) host = '[' + host + ']';
      k.api_url = "https://" + host + ':' + port;
      if (k.token_file.empty()) k.token_file = std::string(kAccount) + "token";
      if (k.ca_file.empty()) k.ca_file = std::string(kAccount) + "ca.crt";
    }
    const auto url = http::parse_http_or_https_url(k.api_url);
    if (!url.ok()) return wrong("api_url", "kubernetes: api_url: " + url.error().message);
    k.api = *url;
    if (!k.api.tls && !k.token_file.empty() && !http::is_loopback(k.api.host))
      return wrong("token_file",
                   "kubernetes: token_file would go to api_url in the clear; use https");
    return {};
  }

  const ConfigReader& reader_;
  UpstreamConfig& u_;
  const Node& node_;
};

}  // namespace

void list_discovery_keys(std::string_view prefix, FileKeys& out) {
  list_keys(fmt::format("{}dns.", prefix), dns_table().keys(), {}, out);
  list_keys(fmt::format("{}kubernetes.", prefix), kubernetes_table().keys(), {}, out);
}

Status read_discovery(const ConfigReader& reader, const Node& node, UpstreamConfig& u) {
  if (node.members.size() != 1 ||
      (node.members[0].key != "dns" && node.members[0].key != "kubernetes"))
    return reader.wrong(node.line, fmt::format("upstreams.{}: endpoints has either dns: or "
                                               "kubernetes:, or is a list of URLs",
                                               u.name));
  const config::Member& m = node.members[0];
  if (m.value.kind != Node::Kind::kMap)
    return reader.wrong(m.line, fmt::format("upstreams.{}: {} must be a map", u.name, m.key));
  DiscoveryReader discovery(reader, u, m.value);
  return m.key == "dns" ? discovery.read_dns() : discovery.read_kubernetes();
}

}  // namespace weir::gateway
