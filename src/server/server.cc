#include "server/server.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "access/admin_routes.h"
#include "access/http_observer.h"
#include "api/replies.h"
#include "http/post.h"
#include "http/server.h"
#include "http/url.h"
#include "server/active_json.h"
#include "server/engine_observer.h"
#include "server/instruments.h"
#include "server/kv_event_stream.h"
#include "server/routes.h"
#include "server/stream_message.h"
#include "server/tenants.h"

namespace weir::server {

namespace {

// The admin listener answers operators and scripts, one at a time each.
constexpr size_t kMaxAdminBodyBytes = 64 * 1024;
constexpr size_t kMaxAdminConnections = 64;

constexpr size_t kSecretBytes = 32;  // of the process, for keyed hashes

// Nobody knows how long a load goes on; what has taken long takes about as long again.
constexpr double kMaxLoadingRetryS = 60;

// Refuses an address that others can reach while nobody needs a key.
Status check_reachable(const ServerConfig& config, size_t keys) {
  if (http::is_loopback(config.host) || keys > 0 || config.allow_remote_without_keys) return {};
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

}  // namespace

class Server::Impl {
 public:
  Impl(const ServerConfig& config, const Clock& clock, telemetry::Logger& log, std::string secret)
      : config_(config),
        instruments_(config.model_name),
        observer_(instruments_.http, log),
        steps_(instruments_.engine, instruments_.trace),
        tenants_(clock, instruments_.registry, std::move(secret)),
        log_(log),
        clock_(clock),
        begin_ns_(clock.now_ns()),
        admin_(config.admin.token,
               [this](std::string_view key) { return tenants_.has_right(key, Right::kAdmin); }) {
    instruments_.process.start_time_s.set(static_cast<double>(clock.unix_s()));
  }

  void serve(const ServedModel& model) {
    engine_ = &model.engine;
    engine_->observe(&steps_);
    const engine::EngineStats stats = engine_->stats();
    instruments_.engine.set_cache_config({static_cast<uint64_t>(model.kv_page_tokens),
                                          static_cast<uint64_t>(stats.total_pages), model.kv_type,
                                          model.prefix_caching});
    if (model.cache_events != nullptr) cache_events_.emplace(*model.cache_events);
    routes_.emplace(config_, model, clock_, instruments_, tenants_, log_);
    add_admin_routes();
    serving_.store(true, std::memory_order_release);
  }

  // Keys and tenants of the file that config names; changes nothing.
  Result<KeysFile> checked_keys(const ServerConfig& config) {
    KeysFile file;
    if (!config.keys_file.empty()) {
      WEIR_ASSIGN(file, access::read_keys(config.keys_file));
      const std::string weak = access::weak_permissions(config.keys_file);
      if (!weak.empty())
        log_.warn("keys_file_permissions",
                  {{"file", config.keys_file}, {"why", weak}, {"remedy", "chmod 600"}});
    }
    WEIR_TRY(check_reachable(config, file.keys.size() + config.api_keys.size()));
    return file;
  }

  // From now on these keys and those of config count.
  void take_keys(KeysFile file, const ServerConfig& config) {
    log_.info("keys", {{"keys", file.keys.size() + config.api_keys.size()},
                       {"tenants", file.tenants.size()}});
    const bool guarded = !config.keys_file.empty() || !config.api_keys.empty();
    if (guarded && file.keys.empty() && config.api_keys.empty()) {
      log_.warn("no_keys", {{"keys_file", config.keys_file},
                            {"reason", "the file holds none: every request is refused"}});
    }
    tenants_.load(std::move(file), config.api_keys, guarded);
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
    // All or nothing: what can fail comes first, and of that the certificates, which replace
    // themselves, come last.
    WEIR_ASSIGN(KeysFile keys, checked_keys(config));
    WEIR_TRY(reload_tls());
    take_keys(std::move(keys), config);
    routes_->set_live({config.api, config.metrics_require_key});
    http_->set_access(config.allowed_hosts, config.cors_origins);
    return {};
  }

  Status listen() {
    WEIR_ASSIGN(KeysFile keys, checked_keys(config_));
    take_keys(std::move(keys), config_);
    if (!config_.otlp.endpoint.empty()) {
      WEIR_ASSIGN(otlp_, OtlpPipeline::start(config_.otlp, instruments_.registry, instruments_.otlp,
                                             clock_));
      instruments_.spans = &otlp_->sink();
      log_.info("otlp", {{"endpoint", config_.otlp.endpoint}});
    }
    http::ServerOptions options;
    options.host = config_.host;
    options.port = config_.port;
    options.limits = config_.http;
    options.allowed_hosts = config_.allowed_hosts;
    options.cors_origins = config_.cors_origins;
    options.request_id_seed = config_.seed;
    options.tls = tls_;
    options.websocket.is_cancel = is_cancel_message;
    options.websocket.on_message = [this](http::Request request, http::ResponseWriter writer) {
      routes_->handle_message(std::move(request), std::move(writer));
    };
    auto handle = [this](http::Request request, http::ResponseWriter writer) {
      if (!serving()) return answer_loading(request, writer);
      routes_->handle(std::move(request), std::move(writer));
    };
    WEIR_ASSIGN(http_, http::Server::start(std::move(options), handle, api::render_http_error,
                                           clock_, &observer_));
    log_.info("listening",
              {{"host", config_.host}, {"port", http_->port()}, {"model", config_.model_name}});
    return listen_admin();
  }

  void stop() {
    if (admin_http_) admin_http_->stop();
    if (http_) http_->stop();
    // No thread calls the routes now but their own workers, which end here.
    routes_.reset();
    cache_events_.reset();
    if (engine_ != nullptr) engine_->observe(nullptr);
    engine_ = nullptr;
  }

  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  http::Server& http() { return *http_; }
  http::Server* admin_http() { return admin_http_.get(); }

  void drain() {
    log_.info("draining");
    routes_->drain();
  }

 private:
  bool serving() const { return serving_.load(std::memory_order_acquire); }

  void answer_loading(const http::Request& request, http::ResponseWriter& writer) {
    if (request.path == "/health" && (request.method == "GET" || request.method == "HEAD")) {
      writer.send(http::json_response(200, R"({"status":"ok"})"));
      return;
    }
    Error e = make_error(ErrorCode::kServerOverloaded, "the model {} is still being loaded",
                         config_.model_name);
    e.retry_after_s =
        std::min(static_cast<double>(clock_.now_ns() - begin_ns_) * 1e-9, kMaxLoadingRetryS);
    writer.note([&](http::AnswerNotes& n) { n.error_code = "server_overloaded"; });
    writer.send(api::error_response(e, request.request_id));
  }

  Status listen_admin() {
    const AdminConfig& admin = config_.admin;
    if (admin.port < 0) return {};
    http::ServerOptions options;
    options.host = admin.host;
    options.port = static_cast<uint16_t>(admin.port);
    options.limits.body_bytes = kMaxAdminBodyBytes;
    options.limits.max_connections = kMaxAdminConnections;
    options.request_id_seed = config_.seed ^ 1;  // other ids than the main listener's
    auto handle = [this](http::Request request, http::ResponseWriter writer) {
      if (!serving()) return answer_loading(request, writer);
      admin_.handle(std::move(request), std::move(writer));
    };
    WEIR_ASSIGN(admin_http_,
                http::Server::start(std::move(options), handle, api::render_http_error, clock_));
    log_.info("admin_listening", {{"host", admin.host}, {"port", admin_http_->port()}});
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
      engine_->flush_cache();
      log_.info("cache_flushed");
      w.send(http::json_response(200, R"({"flushed":true})"));
    });
    admin_.add("POST", "/admin/drain", [this](const http::Request&, http::ResponseWriter w) {
      drain();
      w.send(http::json_response(200, R"({"draining":true})"));
    });
    admin_.add("GET", "/admin/trace", [this](const http::Request& r, http::ResponseWriter w) {
      routes_->trace_page(r, std::move(w));
    });
    admin_.add("GET", "/admin/requests", [this](const http::Request&, http::ResponseWriter w) {
      w.send(http::json_response(200, active_json(tenants_.active(), engine_->stats())));
    });
    admin_.add("GET", "/admin/config", [this](const http::Request&, http::ResponseWriter w) {
      w.send(http::json_response(
          200, config_.admin.show_config ? config_.admin.show_config() : std::string("{}")));
    });
    admin_.add("POST", "/admin/config/reload", [this](const http::Request& r, auto w) {
      if (!config_.admin.reload)
        return w.send(api::error_response(
            make_error(ErrorCode::kBadRequest, "this server has no configuration to read again"),
            r.request_id));
      const auto done = config_.admin.reload();
      // Whoever has the admin token may know what is wrong with the file.
      w.send(done.ok()
                 ? http::json_response(200, *done)
                 : api::error_response(Error{ErrorCode::kBadRequest, done.error().message, {}, 0.0},
                                       r.request_id));
      return http::WriteStatus::kOk;
    });
  }

  const ServerConfig config_;
  Instruments instruments_;
  std::unique_ptr<OtlpPipeline> otlp_;  // null: nothing is exported
  access::HttpObserver observer_;
  EngineObserver steps_;
  Tenants tenants_;
  telemetry::Logger& log_;
  const Clock& clock_;
  const int64_t begin_ns_;  // Clock::now_ns() when the load began, or just before
  access::AdminRoutes admin_;
  // From serve() to stop(); other threads look only when serving_ says so.
  std::optional<Routes> routes_;
  engine::Engine* engine_ = nullptr;
  std::atomic<bool> serving_{false};
  std::optional<KvEventStream> cache_events_;
  std::shared_ptr<http::TlsContext> tls_;     // shared with the listener; null: plain HTTP
  std::unique_ptr<http::Server> http_;        // last: their threads call the others
  std::unique_ptr<http::Server> admin_http_;  // null: none
};

Status check_config(const ServerConfig& config) {
  KeysFile file;
  if (!config.keys_file.empty()) {
    auto read = access::read_keys(config.keys_file);
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

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::listen(const ServerConfig& config, const Clock& clock,
                                               telemetry::Logger& log) {
  WEIR_TRY(check_admin(config.admin));
  WEIR_ASSIGN(std::string secret, access::random_bytes(kSecretBytes));
  auto impl = std::make_unique<Impl>(config, clock, log, std::move(secret));
  WEIR_TRY(impl->load_tls(config.tls));
  WEIR_TRY(impl->listen());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::serve(const ServedModel& model) { impl_->serve(model); }

Result<std::unique_ptr<Server>> Server::start(const ServerConfig& config, const ServedModel& model,
                                              const Clock& clock, telemetry::Logger& log) {
  WEIR_ASSIGN(std::unique_ptr<Server> server, listen(config, clock, log));
  server->serve(model);
  return server;
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

void Server::refuse_unread() { impl_->http().refuse_unread(); }

void Server::stop() { impl_->stop(); }

}  // namespace weir::server
