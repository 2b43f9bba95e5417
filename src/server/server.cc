#include "server/server.h"

#include <utility>

#include "http/metrics_observer.h"
#include "http/server.h"
#include "server/admin_routes.h"
#include "server/replies.h"
#include "server/routes.h"
#include "server/stream_message.h"
#include "telemetry/http_metrics.h"

namespace weir::server {

namespace {

// The admin listener answers operators and scripts, one at a time each.
constexpr size_t kMaxAdminBodyBytes = 64 * 1024;
constexpr size_t kMaxAdminConnections = 64;

// Steps into metrics. On the engine thread.
class StepMetrics final : public engine::StepObserver {
 public:
  explicit StepMetrics(telemetry::EngineMetrics& metrics) : metrics_(metrics) {}

  void on_step(const engine::EngineStats& now) override {
    metrics_.step_s.observe(now.last_step_ms * 1e-3);
    metrics_.batch_tokens.observe(now.last_step_tokens);
    metrics_.batch_sequences.observe(now.last_step_sequences);
    metrics_.preemptions.add(static_cast<double>(now.preemptions - preemptions_));
    metrics_.failed_steps.add(static_cast<double>(now.failed_steps - failed_steps_));
    metrics_.prefix_queries_tokens.add(
        static_cast<double>(now.prefix_queries_tokens - prefix_queries_tokens_));
    metrics_.prefix_hits_tokens.add(
        static_cast<double>(now.prefix_hits_tokens - prefix_hits_tokens_));
    metrics_.prefix_evictions.add(static_cast<double>(now.prefix_evictions - prefix_evictions_));
    metrics_.prefix_pages.set(now.prefix_pages);
    prefix_queries_tokens_ = now.prefix_queries_tokens;
    prefix_hits_tokens_ = now.prefix_hits_tokens;
    prefix_evictions_ = now.prefix_evictions;
    preemptions_ = now.preemptions;
    failed_steps_ = now.failed_steps;
  }

 private:
  telemetry::EngineMetrics& metrics_;
  uint64_t preemptions_ = 0;
  uint64_t prefix_queries_tokens_ = 0;
  uint64_t prefix_hits_tokens_ = 0;
  uint64_t prefix_evictions_ = 0;
  uint64_t failed_steps_ = 0;
};

http::Response render_http_error(int status, const Error& error, std::string_view) {
  http::Response r = error_response(error, "");
  r.status = status;
  return r;
}

}  // namespace

class Server::Impl {
 public:
  Impl(const ServerConfig& config, const ServedModel& model, const Clock& clock,
       telemetry::Logger& log)
      : engine_metrics_(registry_, config.model_name),
        http_metrics_(registry_),
        observer_(http_metrics_),
        steps_(engine_metrics_),
        routes_(config, model, clock, registry_, engine_metrics_),
        engine_(model.engine),
        log_(log),
        admin_(config.admin.token) {
    engine_.observe(&steps_);
    const engine::EngineStats stats = model.engine.stats();
    engine_metrics_.set_cache_config({static_cast<uint64_t>(model.kv_page_tokens),
                                      static_cast<uint64_t>(stats.total_pages), model.kv_type,
                                      model.prefix_caching});
    add_admin_routes();
  }

  // Certificates, when there are any.
  Status load_tls(const http::TlsFiles& files, const Clock& clock) {
    if (files.certificate.empty() && files.key.empty() && files.client_ca.empty()) return {};
    WEIR_ASSIGN(tls_, http::TlsContext::load(files));
    warn_of_certificate(clock);
    return {};
  }
  Status reload_tls(const Clock& clock) {
    if (!tls_) return {};
    WEIR_TRY(tls_->reload());
    warn_of_certificate(clock);
    return {};
  }

  Status listen(const ServerConfig& config, const Clock& clock) {
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

  void warn_of_certificate(const Clock& clock) {
    for (const std::string& text : tls_->warnings(clock.unix_s()))
      log_.warn("certificate", {{"reason", text}});
  }

  // Where features add what operators may ask of them.
  void add_admin_routes() {
    admin_.add("POST", "/admin/drain", [this](const http::Request&, http::ResponseWriter w) {
      drain();
      w.send(http::json_response(200, R"({"draining":true})"));
    });
  }

  telemetry::Registry registry_;
  telemetry::EngineMetrics engine_metrics_;
  telemetry::HttpMetrics http_metrics_;
  http::MetricsObserver observer_;
  StepMetrics steps_;
  Routes routes_;
  engine::Engine& engine_;
  telemetry::Logger& log_;
  AdminRoutes admin_;
  std::shared_ptr<http::TlsContext> tls_;     // shared with the listener; null: plain HTTP
  std::unique_ptr<http::Server> http_;        // last: their threads call the others
  std::unique_ptr<http::Server> admin_http_;  // null: none
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(const ServerConfig& config, const ServedModel& model,
                                              const Clock& clock, telemetry::Logger& log) {
  if (!is_loopback(config.host) && config.api_keys.empty() && !config.allow_remote_without_keys) {
    return make_error(
        ErrorCode::kUsage,
        "{} can be reached from other machines and no API key is set; give --api-key, or "
        "--allow-remote-without-keys if something in front checks who asks",
        config.host);
  }
  if (config.admin.port >= 0 && config.admin.token.empty()) {
    return make_error(ErrorCode::kUsage,
                      "the admin listener needs a token: give --admin-token-file, or --admin-port "
                      "-1 for no admin listener");
  }
  auto impl = std::make_unique<Impl>(config, model, clock, log);
  WEIR_TRY(impl->load_tls(config.tls, clock));
  WEIR_TRY(impl->listen(config, clock));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

uint16_t Server::port() const { return impl_->http().port(); }

uint16_t Server::admin_port() const {
  return impl_->admin_http() == nullptr ? uint16_t{0} : impl_->admin_http()->port();
}

Status Server::reload_tls(const Clock& clock) { return impl_->reload_tls(clock); }

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
