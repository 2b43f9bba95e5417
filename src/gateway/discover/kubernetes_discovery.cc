#include "gateway/discover/kubernetes_discovery.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/rng.h"
#include "os/file.h"

namespace weir::gateway {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kMaxTokenBytes = 64 * 1024;
// A watch is asked to end after this and begun again: a connection that died without a word is
// noticed within half a minute more.
constexpr int64_t kWatchS = 120;
constexpr milliseconds kListTimeout{30'000};
constexpr milliseconds kWatchTimeout{kWatchS * 1'000 + 30'000};
constexpr int64_t kFirstPauseMs = 200;
constexpr int64_t kLongestPauseMs = 30'000;

}  // namespace

// Of a list: the whole answer.
class KubernetesDiscovery::Listing final : public http::ResponseHandler {
 public:
  explicit Listing(std::weak_ptr<KubernetesDiscovery> owner) : owner_(std::move(owner)) {}
  void on_head(const http::Response& head) override { status_ = head.status; }
  bool on_body(std::string_view piece) override {
    // One byte too many is enough for the reader to refuse it.
    body_.append(piece.substr(0, kMaxSlicesBytes + 1 - std::min(body_.size(), kMaxSlicesBytes)));
    return true;
  }
  void on_end(const http::Failure* failure) override {
    const auto owner = owner_.lock();
    if (owner == nullptr) return;
    owner->now_ = 0;
    if (failure != nullptr) {
      if (failure->kind == http::FailureKind::kStopped) return;
      return owner->on_list(make_error(ErrorCode::kIo, "{}", failure->message));
    }
    if (status_ != 200)
      return owner->on_list(
          make_error(ErrorCode::kIo, "the API answers the list with status {}", status_));
    owner->on_list(std::move(body_));
  }

 private:
  const std::weak_ptr<KubernetesDiscovery> owner_;
  int status_ = 0;
  std::string body_;
};

// Of a watch: lines as they come.
class KubernetesDiscovery::Watching final : public http::ResponseHandler {
 public:
  explicit Watching(std::weak_ptr<KubernetesDiscovery> owner) : owner_(std::move(owner)) {}
  void on_head(const http::Response& head) override { status_ = head.status; }
  bool on_body(std::string_view piece) override {
    const auto owner = owner_.lock();
    if (owner == nullptr || over_ || status_ != 200) return true;
    while (!piece.empty() && !over_) {
      const size_t end = std::min(piece.find('\n'), piece.size());
      line_.append(piece.substr(0, end));
      if (end == piece.size()) break;
      piece.remove_prefix(end + 1);
      if (!line_.empty()) take(*owner);
    }
    if (!over_ && line_.size() > kMaxSlicesBytes) take(*owner);  // which refuses it
    return true;
  }
  void on_end(const http::Failure* failure) override {
    const auto owner = owner_.lock();
    if (owner == nullptr || over_) return;
    owner->now_ = 0;
    if (failure != nullptr) {
      if (failure->kind == http::FailureKind::kStopped) return;
      return owner->on_watch_end(make_error(ErrorCode::kIo, "{}", failure->message), heard_);
    }
    if (status_ != 200)
      return owner->on_watch_end(
          make_error(ErrorCode::kIo, "the API answers the watch with status {}", status_), false);
    owner->on_watch_end({}, heard_);
  }

 private:
  void take(KubernetesDiscovery& owner) {
    heard_ = true;
    over_ = !owner.on_event(line_);
    line_.clear();
  }

  const std::weak_ptr<KubernetesDiscovery> owner_;
  int status_ = 0;
  bool heard_ = false;  // an event
  bool over_ = false;   // the owner goes on without it
  std::string line_;
};

KubernetesDiscovery::KubernetesDiscovery(const KubernetesConfig& config,
                                         std::shared_ptr<const http::TlsClientContext> tls,
                                         http::Client& client, const Clock& clock, uint64_t seed,
                                         DiscoverySink sink)
    : config_(config),
      tls_(std::move(tls)),
      client_(client),
      clock_(clock),
      seed_(seed),
      sink_(std::move(sink)),
      slices_(config) {
  state_.source = "kubernetes";
}

// Not in the destructor: the client may be gone by then.
void KubernetesDiscovery::stop() {
  if (now_ != 0) client_.cancel(now_);
}

Result<std::string> KubernetesDiscovery::token() const {
  if (config_.token_file.empty()) return std::string();
  // Read every time: the kubelet puts another one there before it expires.
  auto read = os::read_file(config_.token_file, kMaxTokenBytes);
  if (!read.ok()) return read.error().with_context("token_file");
  while (read->ends_with('\n') || read->ends_with('\r')) read->pop_back();
  const bool printable =
      std::all_of(read->begin(), read->end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (read->empty() || !printable)
    return make_error(ErrorCode::kCorrupt, "token_file {} holds no token", config_.token_file);
  return read;
}

Result<http::ClientRequest> KubernetesDiscovery::request(const std::string& query) const {
  http::ClientRequest r;
  r.url = config_.api;
  r.tls = tls_;
  r.target = fmt::format(
      "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
      "?labelSelector=kubernetes.io%2Fservice-name%3D{}{}",
      config_.name_space, config_.service, query);
  WEIR_ASSIGN(const std::string secret, token());
  if (!secret.empty()) r.headers.add("Authorization", "Bearer " + secret);
  r.headers.add("Accept", "application/json");
  r.timeouts.connect = r.timeouts.first_byte = kListTimeout;
  r.replay_stale = true;
  return r;
}

void KubernetesDiscovery::later(int64_t ms, void (KubernetesDiscovery::*what)()) {
  client_.post_at(std::chrono::steady_clock::now() + milliseconds(ms),
                  [weak = weak_from_this(), what] {
                    if (const auto self = weak.lock()) ((*self).*what)();
                  });
}

void KubernetesDiscovery::list() {
  auto r = request("");
  if (!r.ok()) return fail("token", r.error().message);
  r->timeouts.total = kListTimeout;
  now_ = client_.send(std::move(*r), std::make_unique<Listing>(weak_from_this()));
}

void KubernetesDiscovery::on_list(Result<std::string> body) {
  if (!body.ok()) return fail("list", body.error().message);
  if (const Status ok = slices_.replace(*body); !ok.ok()) return fail("list", ok.error().message);
  sink_.note("good", "");
  tell();
  if (config_.watch && !slices_.version().empty()) {
    watch();
  } else {
    failures_ = 0;
    later(config_.interval_ms, &KubernetesDiscovery::list);
  }
}

void KubernetesDiscovery::tell() {
  state_.answered = state_.good = true;
  state_.good_at_ns = clock_.now_ns();
  state_.problem.clear();
  sink_.endpoints(slices_.endpoints());
}

void KubernetesDiscovery::watch() {
  auto r =
      request(fmt::format("&watch=1&allowWatchBookmarks=true&timeoutSeconds={}"
                          "&resourceVersion={}",
                          kWatchS, slices_.version()));
  if (!r.ok()) return fail("token", r.error().message);
  r->timeouts.total = kWatchTimeout;
  r->timeouts.idle = kWatchTimeout;  // nothing changes, nothing is said
  now_ = client_.send(std::move(*r), std::make_unique<Watching>(weak_from_this()));
}

bool KubernetesDiscovery::on_event(std::string_view line) {
  const auto event = slices_.apply(line);
  if (event.ok() && *event != EndpointSlices::Event::kGone) {
    failures_ = 0;
    if (*event == EndpointSlices::Event::kChanged) {
      sink_.note("event", "");
      tell();
    }
    return true;
  }
  if (now_ != 0) client_.cancel(std::exchange(now_, 0));
  if (!event.ok()) {
    fail("watch", event.error().message);
  } else if (failures_++ == 0) {
    sink_.note("relist", "");
    list();
  } else {
    fail("watch", "the version of the list itself is too old (410)");
  }
  return false;
}

void KubernetesDiscovery::on_watch_end(const Status& how, bool heard) {
  if (!how.ok()) return fail("watch", how.error().message);
  failures_ = 0;
  // The API ends a watch when its time is over. One that ends at once, unheard, is not to be asked
  // in a circle.
  if (heard) return watch();
  later(kFirstPauseMs, &KubernetesDiscovery::watch);
}

// What was known stays; after a pause everything is listed again.
void KubernetesDiscovery::fail(std::string_view result, const std::string& why) {
  state_.answered = true;
  state_.good = false;
  state_.problem = why;
  sink_.note(result, why);
  const int64_t pause_ms =
      std::min(kLongestPauseMs, kFirstPauseMs << std::min<int64_t>(failures_++, 10));
  const double part = 0.5 + 0.5 * random_unit(seed_, 0, draws_++);
  later(static_cast<int64_t>(static_cast<double>(pause_ms) * part), &KubernetesDiscovery::list);
}

}  // namespace weir::gateway
