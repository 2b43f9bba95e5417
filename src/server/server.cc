#include "server/server.h"

#include <utility>

#include "http/post.h"
#include "http/server.h"
#include "server/active_json.h"
#include "server/admin_routes.h"
#include "server/engine_observer.h"
#include "server/http_observer.h"
#include "server/instruments.h"
#include "server/kv_event_stream.h"
#include "server/replies.h"
#include "server/routes.h"
#include "server/stream_message.h"
#include "server/tenants.h"

namespace weir::server {

namespace {

// The admin listener answers operators and scripts, one at a time each.
constexpr size_t kMaxAdminBodyBytes = 64 * 1024;
constexpr size_t kMaxAdminConnections = 64;

constexpr size_t kSecretBytes = 32;  // of the process, for keyed hashes

// Refuses an address that others can reach while nobody needs a key.
Status check_reachable(const ServerConfig& config, size_t keys) {
  if (is_loopback(config.host) || keys > 0 || config.allow_remote_without_keys) return {};
  return make_error(
      ErrorCode::kUsage,
      "{} can be reached from other machines and no API key is set; give --keys-file or --api-key, "
      "or --allow-remote-without-keys if something in front checks who asks",
      config.host);
}

Status check_admin(const AdminConfig& admin) {
  if (admin.port < 0 || !admin.token.empty()) return {};
  return make_error(ErrorCode::kUsage,
                    "the admin listener needs a token: give --admin-token-file, or --admin-port -1 "
                    "for no admin listener");
}

bool has_tls(const http::TlsFiles& files) {
  return !files.certificate.empty() || !files.key.empty() || !files.client_ca.empty();
}

http::Response render_http_error(int status, const Error& error, std::string_view) {
  http::Response r = error_response(error, "");
  r.status = status;
  return r;
}

}  // namespace

class Server::Impl {
 public:
  Impl(const ServerConfig& config, const ServedModel& model, const Clock& clock,
       telemetry::Logger& log, std::string secret)
      : instruments_(config.model_name),
        observer_(instruments_.http, log),
        steps_(instruments_.engine, instruments_.trace),
        tenants_(clock, instruments_.registry, std::move(secret)),
        routes_(config, model, clock, instruments_, tenants_, log),
        engine_(model.engine),
        log_(log),
        clock_(clock),
        admin_config_(config.admin),
        admin_(config.admin.token,
               [this](std::string_view key) { return tenants_.has_right(key, Right::kAdmin); }) {
    engine_.observe(&steps_);
    const engine::EngineStats stats = model.engine.stats();
    instruments_.process.start_time_s.set(static_cast<double>(clock.unix_s()));
    instruments_.engine.set_cache_config({static_cast<uint64_t>(model.kv_page_tokens),
                                          static_cast<uint64_t>(stats.total_pages), model.kv_type,
                                          model.prefix_caching});
    if (model.cache_events != nullptr) cache_events_.emplace(*model.cache_events);
    add_admin_routes();
  }

  // Keys and tenants of the file that config names, and its api_keys.
  Status load_keys(const ServerConfig& config) {
    KeysFile file;
    if (!config.keys_file.empty()) {
      WEIR_ASSIGN(file, read_keys(config.keys_file));
      const std::string weak = weak_permissions(config.keys_file);
      if (!weak.empty())
        log_.warn("keys_file_permissions",
                  {{"file", config.keys_file}, {"why", weak}, {"remedy", "chmod 600"}});
    }
    WEIR_TRY(check_reachable(config, file.keys.size() + config.api_keys.size()));
    log_.info("keys", {{"keys", file.keys.size() + config.api_keys.size()},
                       {"tenants", file.tenants.size()}});
    tenants_.load(std::move(file), config.api_keys);
    return {};
  }

  // Certificates, when there are any.
  Status load_tls(const http::TlsFiles& files) {
    if (!has_tls(files)) return {};
    WEIR_ASSIGN(tls_, http::TlsContext::load(files));
    warn_of_certificate();
    return {};
  }
  Status reload_tls() {
    if (!tls_) return {};
    WEIR_TRY(tls_->reload());
    warn_of_certificate();
    return {};
  }

  Status reload(const ServerConfig& config) {
    WEIR_TRY(load_keys(config));
    WEIR_TRY(reload_tls());
    routes_.set_live({config.api, config.metrics_require_key});
    http_->set_access(config.allowed_hosts, config.cors_origins);
    return {};
  }

  Status listen(const ServerConfig& config, const Clock& clock) {
    WEIR_TRY(load_keys(config));
    if (!config.otlp.endpoint.empty()) {
      WEIR_ASSIGN(
          otlp_, OtlpPipeline::start(config.otlp, instruments_.registry, instruments_.otlp, clock));
      instruments_.spans = &otlp_->sink();
      log_.info("otlp", {{"endpoint", config.otlp.endpoint}});
    }
    http::ServerOptions options;
    options.host = config.host;
    options.port = config.port;
    options.limits = config.http;
    options.allowed_hosts = config.allowed_hosts;
    options.cors_origins = config.cors_origins;
    options.request_id_seed = config.seed;
    options.tls = tls_;
    options.websocket.is_cancel = is_cancel_message;
    options.websocket.on_message = [this](http::Request request, http::ResponseWriter writer) {
      routes_.handle_message(std::move(request), std::move(writer));
    };
    auto handle = [this](http::Request request, http::ResponseWriter writer) {
      routes_.handle(std::move(request), std::move(writer));
    };
    WEIR_ASSIGN(http_, http::Server::start(std::move(options), handle, render_http_error, clock,
                                           &observer_));
    log_.info("listening",
              {{"host", config.host}, {"port", http_->port()}, {"model", config.model_name}});
    return listen_admin(config, clock);
  }

  ~Impl() { engine_.observe(nullptr); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  http::Server& http() { return *http_; }
  http::Server* admin_http() { return admin_http_.get(); }
  telemetry::Logger& log() { return log_; }

  void drain() {
    log_.info("draining");
    routes_.drain();
  }

 private:
  Status listen_admin(const ServerConfig& config, const Clock& clock) {
    if (config.admin.port < 0) return {};
    http::ServerOptions options;
    options.host = config.admin.host;
    options.port = static_cast<uint16_t>(config.admin.port);
    options.limits.body_bytes = kMaxAdminBodyBytes;
    options.limits.max_connections = kMaxAdminConnections;
    options.request_id_seed = config.seed ^ 1;  // other ids than the main listener's
    auto handle = [this](http::Request request, http::ResponseWriter writer) {
      admin_.handle(std::move(request), std::move(writer));
    };
    WEIR_ASSIGN(admin_http_,
                http::Server::start(std::move(options), handle, render_http_error, clock));
    log_.info("admin_listening", {{"host", config.admin.host}, {"port", admin_http_->port()}});
    return {};
  }

  void warn_of_certificate() {
    for (const std::string& text : tls_->warnings(clock_.unix_s()))
      log_.warn("certificate", {{"reason", text}});
  }

  // Where features add what operators may ask of them.
  void add_admin_routes() {
    if (cache_events_.has_value()) {
      admin_.add("GET", "/admin/kv-events", [this](const http::Request& r, http::ResponseWriter w) {
        cache_events_->handle(r, std::move(w));
      });
    }
    admin_.add("POST", "/admin/cache/flush", [this](const http::Request&, http::ResponseWriter w) {
      engine_.flush_cache();
      log_.info("cache_flushed");
      w.send(http::json_response(200, R"({"flushed":true})"));
    });
    admin_.add("POST", "/admin/drain", [this](const http::Request&, http::ResponseWriter w) {
      drain();
      w.send(http::json_response(200, R"({"draining":true})"));
    });
    admin_.add("GET", "/admin/trace", [this](const http::Request& r, http::ResponseWriter w) {
      routes_.trace_page(r, std::move(w));
    });
    admin_.add("GET", "/admin/requests", [this](const http::Request&, http::ResponseWriter w) {
      w.send(http::json_response(200, active_json(tenants_.active(), engine_.stats())));
    });
    admin_.add("GET", "/admin/config", [this](const http::Request&, http::ResponseWriter w) {
      w.send(http::json_response(
          200, admin_config_.show_config ? admin_config_.show_config() : std::string("{}")));
    });
    admin_.add("POST", "/admin/config/reload", [this](const http::Request& r, auto w) {
      if (!admin_config_.reload)
        return w.send(error_response(
            make_error(ErrorCode::kBadRequest, "this server has no configuration to read again"),
            r.request_id));
      const auto done = admin_config_.reload();
      // Whoever has the admin token may know what is wrong with the file.
      w.send(done.ok()
                 ? http::json_response(200, *done)
                 : error_response(Error{ErrorCode::kBadRequest, done.error().message, {}, 0.0},
                                  r.request_id));
      return http::WriteStatus::kOk;
    });
  }

  Instruments instruments_;
  std::unique_ptr<OtlpPipeline> otlp_;  // null: nothing is exported
  HttpObserver observer_;
  EngineObserver steps_;
  Tenants tenants_;
  Routes routes_;
  engine::Engine& engine_;
  telemetry::Logger& log_;
  const Clock& clock_;
  const AdminConfig admin_config_;
  AdminRoutes admin_;
  std::optional<KvEventStream> cache_events_;
  std::shared_ptr<http::TlsContext> tls_;     // shared with the listener; null: plain HTTP
  std::unique_ptr<http::Server> http_;        // last: their threads call the others
  std::unique_ptr<http::Server> admin_http_;  // null: none
};

Status check_config(const ServerConfig& config) {
  KeysFile file;
  if (!config.keys_file.empty()) {
    auto read = read_keys(config.keys_file);
    if (!read.ok()) return read.error().with_context("keys_file");
    file = std::move(*read);
  }
  WEIR_TRY(check_reachable(config, file.keys.size() + config.api_keys.size()));
  WEIR_TRY(check_admin(config.admin));
  if (has_tls(config.tls)) {
    const auto tls = http::TlsContext::load(config.tls);
    if (!tls.ok()) return tls.error();
  }
  if (!config.otlp.endpoint.empty()) {
    const auto to = http::parse_endpoint(config.otlp.endpoint, "4318");
    if (!to.ok()) return to.error().with_context("otlp.endpoint (--otlp-endpoint)");
  }
  return {};
}

Status check_addresses(const ServerConfig& config) {
  WEIR_TRY(http::Server::check_address(config.host, config.port));
  if (config.admin.port < 0) return {};
  return http::Server::check_address(config.admin.host, static_cast<uint16_t>(config.admin.port));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(const ServerConfig& config, const ServedModel& model,
                                              const Clock& clock, telemetry::Logger& log) {
  WEIR_TRY(check_admin(config.admin));
  WEIR_ASSIGN(std::string secret, random_bytes(kSecretBytes));
  auto impl = std::make_unique<Impl>(config, model, clock, log, std::move(secret));
  WEIR_TRY(impl->load_tls(config.tls));
  WEIR_TRY(impl->listen(config, clock));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

uint16_t Server::port() const { return impl_->http().port(); }

Status Server::reload(const ServerConfig& config) { return impl_->reload(config); }

uint16_t Server::admin_port() const {
  return impl_->admin_http() == nullptr ? uint16_t{0} : impl_->admin_http()->port();
}

void Server::drain() { impl_->drain(); }

bool Server::wait_drained(std::chrono::milliseconds timeout) {
  impl_->http().drain();
  return impl_->http().wait_drained(timeout);
}

void Server::stop() {
  if (impl_->admin_http() != nullptr) impl_->admin_http()->stop();
  impl_->http().stop();
}

}  // namespace weir::server
