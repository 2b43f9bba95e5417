#include "gateway/gateway_admin.h"

#include <utility>

#include "api/replies.h"
#include "gateway/proxy_admin.h"
#include "gateway/quota_admin.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

constexpr size_t kMaxBodyBytes = 1 << 20;
constexpr size_t kMaxConnections = 64;

http::Response answer_of(const Result<std::string>& said, const std::string& request_id) {
  return said.ok() ? http::json_response(200, *said)
                   : api::error_response(said.error(), request_id);
}

// What came of it. Who has the admin's token may know what is wrong with the file.
Result<std::string> read_again(const std::function<Result<std::vector<std::string>>()>& reload) {
  if (!reload) {
    return make_error(ErrorCode::kBadRequest, "this gateway has no configuration to read again");
  }
  const auto restart = reload();
  if (!restart.ok()) return Error{ErrorCode::kBadRequest, restart.error().message, {}, 0.0};
  text::Json keys = text::Json::array();
  for (const std::string& key : *restart) keys.push_back(key);
  text::Json out = text::Json::object();
  out.set("reloaded", true);
  out.set("needs_restart", std::move(keys));
  return out.dump();
}

}  // namespace

Result<std::unique_ptr<GatewayAdmin>> GatewayAdmin::listen(About about, uint64_t seed) {
  std::unique_ptr<GatewayAdmin> admin(new GatewayAdmin(std::move(about)));
  const GatewayConfig& config = admin->about_.config;
  http::ServerOptions options;
  options.host = config.admin_host;
  options.port = static_cast<uint16_t>(config.admin_port);
  options.limits.body_bytes = kMaxBodyBytes;
  options.limits.max_connections = kMaxConnections;
  options.request_id_seed = seed;
  admin->add_routes();
  auto handle = [a = admin.get()](http::Request request, http::ResponseWriter writer) {
    a->routes_.handle(std::move(request), std::move(writer));
  };
  WEIR_ASSIGN(admin->http_, http::Server::start(std::move(options), handle, api::render_http_error,
                                                admin->about_.clock));
  return admin;
}

void GatewayAdmin::tell(const std::string& method, std::string_view path, Answer answer) {
  routes_.add(method, path,
              [this, answer = std::move(answer)](http::Request r, http::ResponseWriter w) {
                // shared: the client wants what can be copied.
                auto asked = std::make_shared<std::pair<http::Request, http::ResponseWriter>>(
                    std::move(r), std::move(w));
                about_.client.post([this, asked, answer] {
                  asked->second.send(
                      answer_of(answer(about_.proxy, asked->first), asked->second.request_id()));
                });
              });
}

// On the proxy's thread, whose the configuration is; the store answers on its own.
void GatewayAdmin::show_quotas(const std::string& query,
                               const std::shared_ptr<http::ResponseWriter>& answer) {
  const access::KeysFile nobody;
  const auto keyring = about_.keys();
  const auto shown =
      shown_quotas(about_.proxy.config(), keyring == nullptr ? nobody : keyring->file(), query);
  if (!shown.ok()) {
    answer->send(answer_of(shown.error(), answer->request_id()));
    return;
  }
  about_.quotas.read(shown->limits, [answer, shown = *shown](const std::vector<int64_t>& used) {
    answer->send(answer_of(quotas_json(shown, used), answer->request_id()));
  });
}

void GatewayAdmin::add_routes() {
  routes_.add("POST", "/admin/drain", [this](const http::Request&, http::ResponseWriter w) {
    about_.drain();
    w.send(http::json_response(200, R"({"draining":true})"));
  });
  tell("GET", "/admin/config", [this](Proxy& proxy, const http::Request&) -> Result<std::string> {
    return describe_json(in_force(about_.config, proxy.config()), proxy.config().name, {});
  });
  routes_.add("POST", "/admin/config/reload",
              [this](const http::Request& r, http::ResponseWriter w) {
                w.send(answer_of(read_again(about_.reload), r.request_id));
              });
  tell("GET", "/admin/fleet", [this](Proxy& proxy, const http::Request&) -> Result<std::string> {
    return fleet_json(proxy, about_.keeper);
  });
  tell("GET", "/admin/rollout", [](Proxy& proxy, const http::Request& r) -> Result<std::string> {
    WEIR_ASSIGN(const int64_t window_s, window_of(r.query));
    return rollout_json(proxy, window_s);
  });
  tell("GET", "/admin/cache", [](Proxy& proxy, const http::Request&) -> Result<std::string> {
    return proxy.answers().json();
  });
  tell("POST", "/admin/cache/invalidate",
       [this](Proxy& proxy, const http::Request& r) -> Result<std::string> {
         WEIR_ASSIGN(const InvalidateFilter filter, parse_invalidate(r.body));
         const size_t gone = proxy.answers().invalidate(filter);
         about_.log.info("cache_invalidated", {{"filter", r.body}, {"answers", gone}});
         return fmt::format(R"({{"invalidated":{}}})", gone);
       });
  tell("PUT", "/admin/rollout/weights",
       [this](Proxy& proxy, const http::Request& r) -> Result<std::string> {
         WEIR_TRY(put_weights(proxy, r.body));
         about_.log.info("rollout_weights", {{"weights", r.body}});
         return std::string(R"({"ok":true})");
       });
  // For who lets nobody at the main listener's.
  routes_.add("GET", "/metrics", [this](const http::Request&, http::ResponseWriter w) {
    // shared: as above.
    auto answer = std::make_shared<http::ResponseWriter>(std::move(w));
    about_.client.post([this, answer] { answer->send(about_.metrics()); });
  });
  routes_.add("GET", "/admin/quotas", [this](const http::Request& r, http::ResponseWriter w) {
    // shared: as above.
    auto answer = std::make_shared<http::ResponseWriter>(std::move(w));
    about_.client.post([this, answer, query = r.query] { show_quotas(query, answer); });
  });
}

}  // namespace weir::gateway
