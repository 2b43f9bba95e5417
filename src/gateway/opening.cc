#include "gateway/opening.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "config/key.h"
#include "gateway/config_place.h"
#include "gateway/fleet_keeper.h"
#include "gateway/misplaced_files.h"
#include "gateway/quotas.h"

namespace weir::gateway {
namespace {

constexpr std::string_view kCertificate = "listen.tls_certificate";
constexpr std::string_view kPrivateKey = "listen.tls_key";
constexpr std::string_view kClientCa = "listen.tls_client_ca";

// Names that some part of the file uses, against those that there are.
class Names {
 public:
  Names(std::string what, std::set<std::string, std::less<>> known, const std::string& file)
      : what_(std::move(what)), known_(std::move(known)), file_(file) {}

  void expect(std::string_view where, std::string_view name, std::vector<std::string>& out) const {
    if (name.empty() || name == "*" || known_.contains(name)) return;
    if (name.ends_with('*')) {
      const std::string_view begin = name.substr(0, name.size() - 1);
      if (std::any_of(known_.begin(), known_.end(),
                      [&](const std::string& k) { return k.starts_with(begin); }))
        return;
    }
    out.push_back(
        fmt::format("{}: there is no {} \"{}\" in {}", where, what_, name.substr(0, 100), file_));
  }

 private:
  const std::string what_;
  const std::set<std::string, std::less<>> known_;
  const std::string& file_;
};

void check_names(const GatewayConfig& config, const access::KeysFile& keys,
                 std::vector<std::string>& out) {
  std::set<std::string, std::less<>> tenants;
  std::set<std::string, std::less<>> ids;
  for (const access::TenantSpec& t : keys.tenants) tenants.insert(t.name);
  for (const access::KeyEntry& k : keys.keys) ids.insert(k.id);
  const Names tenant("tenant", std::move(tenants), config.keys_file);
  const Names key("key with the id", std::move(ids), config.keys_file);
  for (const QuotaRule& r : config.quotas.rules.all()) {
    tenant.expect("quotas: " + r.name, r.tenant, out);
    key.expect("quotas: " + r.name, r.key, out);
  }
  for (const auto& [name, level] : config.priorities.tenants)
    tenant.expect("priorities.tenants", name, out);
  for (const auto& [id, level] : config.priorities.keys) key.expect("priorities.keys", id, out);
  for (const Rule& r : config.rules)
    for (const std::string& name : r.tenants) tenant.expect("rules: " + r.name, name, out);
  for (const std::string& name : config.answers.semantic_tenants)
    tenant.expect("cache.semantic.tenants", name, out);
}

bool is_asked(const GatewayConfig& config, const ModelPrice& price) {
  for (const ModelConfig& m : config.models)
    for (const TargetConfig& t : m.targets)
      if (t.model == price.model && (price.upstream.empty() || t.upstream_name == price.upstream))
        return true;
  return false;
}

void check_idle_settings(const GatewayConfig& config, std::vector<std::string>& out) {
  for (const ModelPrice& p : config.prices.all())
    if (!is_asked(config, p))
      out.push_back(fmt::format("prices: no target of models asks for {} at {}", p.model,
                                p.upstream.empty() ? "any upstream" : p.upstream));
  for (const ModelConfig& m : config.models) {
    if (m.cache == CacheMode::kAlways && !config.answers.cache_enabled)
      out.push_back(
          fmt::format("models.{}: cache: always does nothing without cache: {{enabled: "
                      "true}} beside models",
                      m.name));
    if (m.prompt_budget.action != PromptAction::kRefuse && m.prompt_budget.max_input_tokens == 0)
      out.push_back(
          fmt::format("models.{}: over_budget does nothing without max_input_tokens", m.name));
  }
}

}  // namespace

Result<access::KeysFile> read_gateway_keys(const GatewayConfig& config,
                                           const std::string& reachable) {
  access::KeysFile file;
  if (!config.keys_file.empty()) {
    auto read = access::read_keys(config.keys_file);
    if (!read.ok()) {
      Error error = read.error();
      if (error.code == ErrorCode::kNotFound)
        error.message += "; weir keys new --tenant NAME --file FILE makes it";
      return at_key(config, "keys_file", std::move(error));
    }
    const std::string weak = access::weak_permissions(config.keys_file);
    if (!weak.empty())
      return at_key(config, "keys_file",
                    make_error(ErrorCode::kUsage, "{}: it holds keys and {}; chmod 600 it",
                               config.keys_file, weak));
    file = std::move(*read);
  }
  if (http::is_loopback(reachable) || !file.keys.empty() || config.allow_remote_without_keys)
    return file;
  return at_line(config, config.host_line,
                 make_error(ErrorCode::kUsage,
                            "{} can be reached from other machines and nobody needs a key; give "
                            "keys_file, or listen.allow_remote_without_keys if something in front "
                            "checks who asks",
                            reachable));
}

Result<std::shared_ptr<http::TlsContext>> load_listener_tls(const GatewayConfig& config) {
  if (config.tls == http::TlsFiles()) return std::shared_ptr<http::TlsContext>();
  auto made = http::TlsContext::load(config.tls, {.certificate = std::string(kCertificate),
                                                  .key = std::string(kPrivateKey),
                                                  .client_ca = std::string(kClientCa)});
  if (!made.ok()) return at_listener_tls(config, made.error());
  return made;
}

Error at_listener_tls(const GatewayConfig& config, const Error& error) {
  for (const std::string_view key : {kCertificate, kPrivateKey, kClientCa})
    if (error.message.starts_with(fmt::format("{}: ", key))) return at_key(config, key, error);
  // One of two is missing: where the other stands.
  for (const NamedFile& f : config.files)
    if (f.key == kCertificate || f.key == kPrivateKey || f.key == kClientCa)
      return at_line(config, f.line, error);
  return error;
}

std::vector<std::string> file_warnings(const GatewayConfig& config) {
  std::vector<std::string> out = misplaced(config.files);
  const std::string weak = access::weak_permissions(config.tls.key);
  if (!weak.empty())
    out.push_back(
        at_key(config, kPrivateKey,
               make_error(ErrorCode::kUsage, "{}: it is a private key and {}; chmod 600 it",
                          config.tls.key, weak))
            .message);
  return out;
}

std::vector<std::string> check_opening(const GatewayConfig& config, config::Problems& problems) {
  const auto note = [&](const auto& read) {
    if (!read.ok()) problems.add(say_misplaced(read.error(), config.files));
  };
  const auto keys = read_gateway_keys(config, config.host);
  note(keys);
  note(load_listener_tls(config));
  for (const UpstreamConfig& u : config.upstreams) note(FleetKeeper::prepare(config, u));
  if (const auto tls = Quotas::load_tls(config.quotas); !tls.ok())
    note(Status(at_key(config, "state.redis.ca", tls.error())));
  std::vector<std::string> warnings = file_warnings(config);
  if (keys.ok() && !config.keys_file.empty()) check_names(config, *keys, warnings);
  check_idle_settings(config, warnings);
  return warnings;
}

}  // namespace weir::gateway
