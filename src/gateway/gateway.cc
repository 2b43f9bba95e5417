#include "gateway/gateway.h"

#include <atomic>
#include <functional>
#include <future>
#include <optional>
#include <utility>

#include "access/credentials.h"
#include "access/http_observer.h"
#include "access/keyring.h"
#include "api/replies.h"
#include "base/units.h"
#include "gateway/config_place.h"
#include "gateway/fleet_keeper.h"
#include "gateway/gateway_admin.h"
#include "gateway/incoming.h"
#include "gateway/instruments.h"
#include "gateway/opening.h"
#include "gateway/proxy.h"
#include "gateway/quotas.h"
#include "gateway/translate/translate.h"
#include "gateway/upstream_error.h"
#include "http/client.h"
#include "http/router.h"
#include "http/server.h"
#include "http/url.h"
#include "os/executor.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

constexpr size_t kSecretBytes = 32;
constexpr double kDrainRetryS = 1;
constexpr size_t kMaxKeyChecks = 64;  // argon2id, one at a time; beyond: 503
// Of the client's connections to one endpoint; requests beyond wait for max_in_flight.
constexpr size_t kConnectionsPerEndpoint = 16 * 1024;

// tenant: null for all models.
std::string models_json(const GatewayConfig& config, const access::TenantSpec* tenant) {
  text::Json list = text::Json::array();
  for (const ModelConfig& m : config.models) {
    if (tenant != nullptr && !tenant->may_use(m.name)) continue;
    text::Json one = text::Json::object();
    one.set("id", m.name);
    one.set("object", "model");
    one.set("created", 0);
    one.set("owned_by", "weir");
    list.push_back(std::move(one));
  }
  text::Json body = text::Json::object();
  body.set("object", "list");
  body.set("data", std::move(list));
  return body.dump();
}

// What http/ and the router refuse, in the form that the path's clients read.
http::Response render_error(int status, const Error& error, std::string_view path,
                            std::string_view request_id) {
  http::Response r = api::render_http_error(status, error, path);
  if (protocol_of_path(path) == Protocol::kAnthropic)
    r.body = error_body(Protocol::kAnthropic, error, request_id);
  return r;
}

}  // namespace

class Gateway::Impl {
 public:
  Impl(GatewayConfig config, const Clock& clock, telemetry::Logger& log, uint64_t seed,
       ResolveFn resolve, ReloadFn reload_again)
      : config_(std::move(config)),
        clock_(clock),
        log_(log),
        seed_(seed),
        resolve_(std::move(resolve)),
        reload_again_(std::move(reload_again)),
        instruments_(config_),
        observer_(instruments_.http, log),
        router_([this](int status, const Error& error, std::string_view path) {
          return render_error(status, error, path, routed_id_);
        }) {}

  Status start() {
    WEIR_ASSIGN(keyring_, load_keys(config_));
    add_routes();
    WEIR_TRY(listen());
    // On the listener's thread: a request that goes through crosses no thread.
    http::ClientOptions client;
    client.max_connections_per_host = kConnectionsPerEndpoint;
    WEIR_ASSIGN(client_, http::Client::start_on(*http_, client));
    if (!config_.ledger.path.empty()) {
      ledger_metrics_.emplace(instruments_.registry);
      auto ledger = Ledger::open(
          config_.ledger, *ledger_metrics_, clock_, [&log = log_](const Status& written) {
            if (written.ok()) return log.info("ledger_written_again");
            log.warn("ledger_not_written", {{"why", written.error().message}});
          });
      if (!ledger.ok()) return at_key(config_, "ledger.file", ledger.error());
      ledger_ = std::move(*ledger);
    }
    auto quotas = Quotas::open(config_.quotas, instruments_.registry, *client_, clock_, log_);
    if (!quotas.ok())
      return at_key(config_, config_.quotas.redis.has_value() ? "state.redis.ca" : "state.sqlite",
                    quotas.error());
    quotas_ = std::move(*quotas);
    WEIR_ASSIGN(auto pools, FleetKeeper::prepare(config_));
    proxy_.emplace(config_, *client_, clock_, instruments_, log_, ledger_.get(), seed_);
    proxy_->set_quotas(*quotas_);
    WEIR_TRY(proxy_->open());
    take_keys(keyring_);
    keyed_ = keyring_ != nullptr;
    keeper_.emplace(*proxy_, resolve_);
    keeper_->start(std::move(pools));
    serving_.store(true, std::memory_order_release);
    return listen_admin();
  }

  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void stop() {
    if (admin_) admin_->stop();
    serving_.store(false, std::memory_order_release);
    if (quotas_) quotas_->close();
    cut_short();
    client_.reset();  // ends what calls there are
    if (http_) http_->stop();
  }

  // Visits refer to the client, which goes next.
  void cut_short() {
    if (!proxy_ || !http_) return;
    std::promise<void> done;
    if (http_->post([this, &done] {
          proxy_->cut_short();
          done.set_value();
        }))
      done.get_future().wait();
  }

  void reload_refused() { instruments_.reloads.with("refused").add(); }
  Result<std::vector<std::string>> reload(GatewayConfig next) {
    auto done = take_over(std::move(next));
    instruments_.reloads.with(done.ok() ? "good" : "refused").add();
    return done;
  }

  void drain() {
    log_.info("draining");
    draining_.store(true, std::memory_order_relaxed);
  }
  http::Server& http() { return *http_; }
  uint16_t admin_port() const { return admin_ ? admin_->port() : uint16_t{0}; }

 private:
  // Null: nobody needs a key.
  Result<std::shared_ptr<const access::Keyring>> load_keys(const GatewayConfig& config) const {
    WEIR_ASSIGN(access::KeysFile file, read_gateway_keys(config, config_.host));
    if (config.keys_file.empty()) return std::shared_ptr<const access::Keyring>();
    WEIR_ASSIGN(std::string secret, access::random_bytes(kSecretBytes));
    return std::make_shared<const access::Keyring>(std::move(file), std::vector<std::string>{},
                                                   std::move(secret));
  }

  void take_keys(std::shared_ptr<const access::Keyring> keyring) {
    keyring_ = std::move(keyring);
    if (keyring_ != nullptr) proxy_->tenants().load(keyring_->file());
  }

  Result<std::vector<std::string>> take_over(GatewayConfig next) {
    // What can fail comes first, and of that the certificates, which replace themselves, come last.
    if (keyed_ && next.keys_file.empty())
      return make_error(ErrorCode::kUsage,
                        "keys_file is missing: a gateway that asks for keys goes on asking; "
                        "restart it to open it");
    WEIR_ASSIGN(std::shared_ptr<const access::Keyring> keyring, load_keys(next));
    WEIR_ASSIGN(std::vector<FleetKeeper::PoolTls> tls, FleetKeeper::prepare(next));
    if (tls_ != nullptr) {
      const Status loaded = tls_->reload();
      if (!loaded.ok()) return at_listener_tls(next, loaded.error());
    }
    keyed_ = keyring != nullptr;
    std::vector<std::string> restart = needs_restart(config_, next);
    // Shared: the promise is still at work when the wait is over.
    const auto taken = std::make_shared<std::promise<void>>();
    client_->post([&, taken] {
      keeper_->adopt(next, std::move(tls));
      proxy_->adopt(std::move(next));
      take_keys(std::move(keyring));
      taken->set_value();
    });
    taken->get_future().wait();
    return restart;
  }

  // What is wrong with a request whoever asks.
  std::optional<Error> problem(const http::Request& request) const {
    if (const Status ok = access::check_no_key_in_url(request.query); !ok.ok()) return ok.error();
    if (!draining_.load(std::memory_order_relaxed) && serving_.load(std::memory_order_acquire))
      return std::nullopt;
    Error e = make_error(ErrorCode::kServerOverloaded, "the gateway is {}",
                         serving_.load(std::memory_order_acquire) ? "shutting down" : "starting");
    e.retry_after_s = kDrainRetryS;
    return e;
  }

  static void refuse(http::ResponseWriter& writer, const Error& error,
                     Protocol client = Protocol::kOpenAi) {
    writer.note([&](http::AnswerNotes& n) { n.error_code = error_code_name(error.code); });
    writer.send(refusal(error, client, writer.request_id()));
  }

  // then(request, writer, entry) once the key is known to be good; entry is null when nobody needs
  // one. On the proxy's thread, at once unless the key takes argon2id.
  using Admitted =
      std::function<void(http::Request, http::ResponseWriter, const access::KeyEntry*)>;
  void admit(http::Request request, http::ResponseWriter writer, const Admitted& then) {
    const Protocol client = protocol_of_path(request.path);
    if (const auto error = problem(request)) return refuse(writer, *error, client);
    if (keyring_ == nullptr) return then(std::move(request), std::move(writer), nullptr);
    const auto found = keyring_->find(access::presented_key(request.headers));
    if (found.verdict != access::Keyring::Verdict::kSlow)
      return checked(std::move(request), std::move(writer), found, then);
    // shared: the executor and the client want what can be copied.
    auto waiting = std::make_shared<std::pair<http::Request, http::ResponseWriter>>(
        std::move(request), std::move(writer));
    const bool taken = key_checks_.run([this, waiting, then, client, keyring = keyring_] {
      auto slow = keyring->verify(access::presented_key(waiting->first.headers), clock_.now_ns());
      http_->post([this, waiting, then, keyring, client, slow = std::move(slow)] {
        if (!slow.ok()) return refuse(waiting->second, slow.error(), client);
        checked(std::move(waiting->first), std::move(waiting->second), *slow, then);
      });
    });
    if (taken) return;
    Error e = make_error(ErrorCode::kServerOverloaded, "too many keys are being checked");
    e.retry_after_s = 1;
    refuse(waiting->second, e, client);
  }

  void checked(http::Request request, http::ResponseWriter writer,
               const access::Keyring::Found& found, const Admitted& then) {
    const Protocol client = protocol_of_path(request.path);
    if (found.verdict != access::Keyring::Verdict::kKnown)
      return refuse(writer, access::bad_key_error(access::presented_key(request.headers)), client);
    if ((found.entry->rights & static_cast<unsigned>(access::Right::kInference)) == 0)
      return refuse(writer,
                    make_error(ErrorCode::kPermissionDenied, "this key has no right to inference"),
                    client);
    if (const auto error = problem(request)) return refuse(writer, *error, client);
    writer.note([&](http::AnswerNotes& n) { n.tenant = found.entry->tenant; });
    then(std::move(request), std::move(writer), found.entry);
  }

  const access::TenantSpec* spec_of(const access::KeyEntry* entry) const {
    if (entry == nullptr) return nullptr;
    for (const access::TenantSpec& t : keyring_->file().tenants)
      if (t.name == entry->tenant) return &t;
    return nullptr;
  }

  void forward(http::Request request, http::ResponseWriter writer, const access::KeyEntry* entry) {
    std::unique_ptr<Place> place;
    if (entry != nullptr) {
      auto begun = proxy_->tenants().begin(entry->tenant, entry->id);
      if (!begun.ok()) return refuse(writer, begun.error(), protocol_of_path(request.path));
      place = std::move(*begun);
    }
    proxy_->handle(std::move(request), std::move(writer), std::move(place));
  }

  // What a user says of an answer, to be joined with its costs.
  void report_outcome(const http::Request& request, http::ResponseWriter writer,
                      const std::string& tenant) {
    if (ledger_ == nullptr)
      return refuse(writer, make_error(ErrorCode::kRouteNotFound,
                                       "this gateway keeps no ledger (ledger.file)"));
    auto outcome = parse_outcome(request.body);
    if (!outcome.ok()) return refuse(writer, outcome.error());
    // shared: the callback wants what can be copied.
    auto answer = std::make_shared<http::ResponseWriter>(std::move(writer));
    ledger_->report(std::move(*outcome), tenant, clock_.unix_ns() / kNsPerMs,
                    [answer](const Status& done) {
                      if (!done.ok()) return refuse(*answer, done.error());
                      answer->send(http::json_response(200, R"({"recorded":true})"));
                    });
  }

  void add_routes() {
    for (const std::string_view path : kForwardedPaths) {
      router_.add("POST", path, [this](http::Request request, http::ResponseWriter writer) {
        admit(std::move(request), std::move(writer),
              [this](http::Request r, http::ResponseWriter w, const access::KeyEntry* entry) {
                forward(std::move(r), std::move(w), entry);
              });
      });
    }
    router_.add("POST", "/v1/outcomes", [this](http::Request request, http::ResponseWriter w) {
      admit(std::move(request), std::move(w),
            [this](const http::Request& r, http::ResponseWriter writer,
                   const access::KeyEntry* entry) {
              report_outcome(r, std::move(writer), entry == nullptr ? "" : entry->tenant);
            });
    });
    router_.add("GET", "/v1/models", [this](http::Request request, http::ResponseWriter w) {
      admit(std::move(request), std::move(w),
            [this](const http::Request&, http::ResponseWriter writer, const access::KeyEntry* e) {
              writer.send(http::json_response(200, models_json(proxy_->config(), spec_of(e))));
            });
    });
    router_.add("GET", "/health", [](const http::Request&, http::ResponseWriter w) {
      w.send(http::json_response(200, R"({"status":"ok"})"));
    });
    router_.add("GET", "/ready", [this](const http::Request&, http::ResponseWriter w) {
      const bool draining = draining_.load(std::memory_order_relaxed);
      const bool ready = serving_.load(std::memory_order_acquire) && !draining && keeper_->looked();
      w.send(http::json_response(ready ? 200 : 503, ready      ? R"({"status":"ready"})"
                                                    : draining ? R"({"status":"draining"})"
                                                               : R"({"status":"starting"})"));
    });
    router_.add("GET", "/metrics",
                [this](const http::Request&, http::ResponseWriter w) { w.send(metrics_page()); });
  }

  http::Response metrics_page() {
    instruments_.log_lines_lost.add(static_cast<double>(log_.lost()) -
                                    instruments_.log_lines_lost.value());
    http::Response r;
    r.headers.set("Content-Type", telemetry::Registry::kExpositionType);
    r.body = instruments_.registry.exposition();
    return r;
  }

  Status listen() {
    http::ServerOptions options;
    options.host = config_.host;
    options.port = config_.port;
    options.limits = config_.limits;
    options.request_id_seed = seed_;
    WEIR_ASSIGN(tls_, load_listener_tls(config_));
    options.tls = tls_;
    auto handle = [this](http::Request request, http::ResponseWriter writer) {
      const std::string_view route = router_.pattern_of(request.path);
      writer.note([&](http::AnswerNotes& n) { n.route = route; });
      if (protocol_of_path(request.path) == Protocol::kAnthropic) routed_id_ = writer.request_id();
      router_.handle(std::move(request), std::move(writer));
    };
    const auto render = [](int status, const Error& error, std::string_view path) {
      return render_error(status, error, path, "");  // it has none yet
    };
    WEIR_ASSIGN(http_, http::Server::start(std::move(options), handle, render, clock_, &observer_));
    log_.info("listening", {{"host", config_.host}, {"port", http_->port()}});
    return {};
  }

  Status listen_admin() {
    if (config_.admin_port < 0) return {};
    const GatewayAdmin::About about{config_,
                                    *proxy_,
                                    *keeper_,
                                    *quotas_,
                                    *client_,
                                    clock_,
                                    log_,
                                    [this] { drain(); },
                                    [this] { return metrics_page(); },
                                    [this] { return keyring_; },
                                    reload_again_};
    WEIR_ASSIGN(admin_, GatewayAdmin::listen(about, seed_ ^ 1));  // other ids than the main one's
    return {};
  }

  const GatewayConfig config_;
  const Clock& clock_;
  telemetry::Logger& log_;
  const uint64_t seed_;
  const ResolveFn resolve_;
  const ReloadFn reload_again_;  // null: there is nothing to read again
  Instruments instruments_;
  access::HttpObserver observer_;
  http::Router router_;
  std::string routed_id_;  // of the request that it is at, where its refusal names it
  // Null: nobody needs a key. Shared: a check goes on with the keys that it began with while a
  // reload brings others. Of the proxy's thread, once that has begun.
  std::shared_ptr<const access::Keyring> keyring_;
  std::shared_ptr<http::TlsContext> tls_;  // null: plain. Shared with the listener
  bool keyed_ = false;  // of the thread that starts and reloads: somebody needs a key
  std::atomic<bool> draining_{false};
  std::atomic<bool> serving_{false};  // from when there is a proxy until it goes
  std::optional<LedgerMetrics> ledger_metrics_;
  std::unique_ptr<Ledger> ledger_;  // null: none
  std::unique_ptr<Quotas> quotas_;
  std::optional<Proxy> proxy_;
  std::optional<FleetKeeper> keeper_;
  std::unique_ptr<http::Server> http_;
  std::unique_ptr<http::Client> client_;  // on its thread; ends before what calls refer to
  std::unique_ptr<GatewayAdmin> admin_;   // null: none
  // Goes first: what it has taken it finishes, and posts to the listener.
  os::Executor key_checks_{1, kMaxKeyChecks};
};

Gateway::Gateway(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gateway::~Gateway() = default;

Result<std::unique_ptr<Gateway>> Gateway::start(GatewayConfig config, const Clock& clock,
                                                telemetry::Logger& log, uint64_t seed,
                                                ResolveFn resolve, ReloadFn reload_again) {
  auto impl = std::make_unique<Impl>(std::move(config), clock, log, seed, std::move(resolve),
                                     std::move(reload_again));
  WEIR_TRY(impl->start());
  return std::unique_ptr<Gateway>(new Gateway(std::move(impl)));
}

uint16_t Gateway::port() const { return impl_->http().port(); }
uint16_t Gateway::admin_port() const { return impl_->admin_port(); }
Result<std::vector<std::string>> Gateway::reload(GatewayConfig next) {
  return impl_->reload(std::move(next));
}
void Gateway::drain() { impl_->drain(); }
bool Gateway::wait_drained(std::chrono::milliseconds timeout) {
  impl_->http().drain();
  return impl_->http().wait_drained(timeout);
}
void Gateway::cut_short() {
  impl_->http().refuse_unread();
  impl_->cut_short();
}
void Gateway::reload_refused() { impl_->reload_refused(); }
void Gateway::stop() { impl_->stop(); }

}  // namespace weir::gateway
