#include "gateway/opening.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "config/key.h"
#include "gateway/fleet_keeper.h"
#include "gateway/misplaced_files.h"

namespace weir::gateway {
namespace {

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
    WEIR_ASSIGN(file, access::read_keys(config.keys_file));
    const std::string weak = access::weak_permissions(config.keys_file);
    if (!weak.empty())
      return make_error(ErrorCode::kUsage, "{}: it holds keys and {}; chmod 600 it",
                        config.keys_file, weak);
  }
  if (http::is_loopback(reachable) || !file.keys.empty() || config.allow_remote_without_keys)
    return file;
  return make_error(ErrorCode::kUsage,
                    "{} can be reached from other machines and nobody needs a key; give keys_file, "
                    "or listen.allow_remote_without_keys if something in front checks who asks",
                    reachable);
}

Result<std::shared_ptr<http::TlsContext>> load_listener_tls(const GatewayConfig& config) {
  if (config.tls == http::TlsFiles()) return std::shared_ptr<http::TlsContext>();
  return http::TlsContext::load(config.tls, {.certificate = "listen.tls_certificate",
                                             .key = "listen.tls_key",
                                             .client_ca = "listen.tls_client_ca"});
}

std::vector<std::string> misplaced_files(const GatewayConfig& config) {
  return misplaced(config.files);
}

namespace {

Result<std::vector<std::string>> read_opening(const GatewayConfig& config) {
  WEIR_ASSIGN(const access::KeysFile keys, read_gateway_keys(config, config.host));
  WEIR_TRY(load_listener_tls(config));
  WEIR_TRY(FleetKeeper::prepare(config));
  std::vector<std::string> warnings = misplaced_files(config);
  if (!config.keys_file.empty()) check_names(config, keys, warnings);
  check_idle_settings(config, warnings);
  return warnings;
}

}  // namespace

Result<std::vector<std::string>> check_opening(const GatewayConfig& config) {
  auto read = read_opening(config);
  if (!read.ok()) return say_misplaced(read.error(), config.files);
  return read;
}

}  // namespace weir::gateway
