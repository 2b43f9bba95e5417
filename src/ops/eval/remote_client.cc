#include "ops/eval/remote_client.h"

#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/thread_annotations.h"
#include "http/retry_after.h"
#include "http/syntax.h"
#include "ops/eval/remote_reply.h"

namespace weir::ops {
namespace {

using std::chrono::steady_clock;

struct Arrival {
  size_t index = 0;
  http::Response response;
  std::optional<http::Failure> failure;
};

// From the I/O thread to the calling one. Shared by the handlers, since those of requests that were
// given up end later than the call.
class Mailbox {
 public:
  void put(Arrival arrival) {
    const MutexLock lock(mutex_);
    arrived_.push_back(std::move(arrival));
    filled_.notify_one();
  }
  // Nothing: `until` has come first.
  std::optional<Arrival> take(std::optional<steady_clock::time_point> until) {
    const MutexLock lock(mutex_);
    while (arrived_.empty()) {
      if (!until) {
        filled_.wait(mutex_);
        continue;
      }
      const auto left = *until - steady_clock::now();
      if (left <= steady_clock::duration::zero()) return std::nullopt;
      filled_.wait_for(mutex_, left);
    }
    Arrival first = std::move(arrived_.front());
    arrived_.pop_front();
    return first;
  }

 private:
  Mutex mutex_;
  ConditionVariable filled_;
  std::deque<Arrival> arrived_ WEIR_GUARDED_BY(mutex_);
};

class Collector final : public http::ResponseHandler {
 public:
  Collector(std::shared_ptr<Mailbox> to, size_t index) : to_(std::move(to)) {
    arrival_.index = index;
  }
  void on_head(const http::Response& head) override {
    arrival_.response = head;
    arrival_.response.body.clear();
  }
  bool on_body(std::string_view piece) override {
    arrival_.response.body += piece;
    return true;
  }
  void on_end(const http::Failure* failure) override {
    if (failure != nullptr) arrival_.failure = *failure;
    to_->put(std::move(arrival_));
  }

 private:
  std::shared_ptr<Mailbox> to_;
  Arrival arrival_;
};

TryOutcome outcome_of(const Arrival& a, int64_t unix_ms) {
  TryOutcome out;
  if (a.failure) {
    out.hopeless = a.failure->kind == http::FailureKind::kTimeout ||
                   a.failure->kind == http::FailureKind::kProtocol ||
                   a.failure->kind == http::FailureKind::kLimit;
    return out;
  }
  out.status = a.response.status;
  if (const auto wait_ms = http::retry_after_of(a.response.headers, unix_ms))
    out.retry_after_s = static_cast<double>(*wait_ms) * 1e-3;
  return out;
}

ErrorCode code_of(int status) {
  switch (status) {
    case 401:
    case 403:
      return ErrorCode::kInvalidApiKey;
    case 404:
      return ErrorCode::kModelNotFound;
    case 408:
    case 429:
    case 502:
    case 503:
    case 504:
      return ErrorCode::kServerOverloaded;
    default:
      return status >= 500 ? ErrorCode::kInternal : ErrorCode::kBadRequest;
  }
}

Error error_of(const RemoteServer& server, const Arrival& a, int tries) {
  const std::string after = tries > 1 ? fmt::format(", after {} tries", tries) : "";
  if (a.failure) {
    const bool theirs = a.failure->kind == http::FailureKind::kProtocol ||
                        a.failure->kind == http::FailureKind::kLimit;
    const bool late = a.failure->kind == http::FailureKind::kTimeout;
    return make_error(
        theirs ? ErrorCode::kCorrupt : ErrorCode::kServerOverloaded, "{}{}{}", a.failure->message,
        late ? fmt::format("; a request may take {} ms", server.timeout.count()) : "", after);
  }
  const auto wait = a.response.headers.find("retry-after");
  return make_error(code_of(a.response.status), "{} answered {}{}{}: {}", server.url.authority(),
                    a.response.status, after,
                    wait ? fmt::format(" (Retry-After {})", reply_error(*wait)) : "",
                    reply_error(a.response.body));
}

// One call's requests: which are under way, which wait for their next try.
class Sending {
 public:
  Sending(http::Client& client, const RemoteServer& server, std::string method,
          std::span<const RemoteRequest> requests, const Clock& clock)
      : client_(client),
        server_(server),
        clock_(clock),
        method_(std::move(method)),
        requests_(requests),
        tries_(requests.size(), 0) {}

  Status run(size_t at_once, const RemoteDone& done) {
    size_t left = requests_.size();
    while (left > 0) {
      send_due();
      while (next_ < requests_.size() && under_way_.size() + waiting_.size() < at_once)
        send(next_++);
      const auto until = waiting_.empty() ? std::nullopt : std::optional(waiting_.begin()->first);
      std::optional<Arrival> arrival = mailbox_->take(until);
      if (!arrival) continue;
      under_way_.erase(arrival->index);
      const Result<bool> over = on_arrival(*arrival, done);
      if (!over.ok()) {
        for (const auto& [index, id] : under_way_) client_.cancel(id);
        return over.error();
      }
      if (*over) --left;
    }
    return {};
  }

 private:
  void send_due() {
    while (!waiting_.empty() && waiting_.begin()->first <= steady_clock::now()) {
      const size_t index = waiting_.begin()->second;
      waiting_.erase(waiting_.begin());
      send(index);
    }
  }

  void send(size_t index) {
    http::ClientRequest r;
    r.url = server_.url;
    r.method = method_;
    r.target = requests_[index].path;
    r.headers = server_.headers;
    r.body = requests_[index].body;
    if (!r.body.empty()) r.headers.add("Content-Type", "application/json");
    r.timeouts.first_byte = r.timeouts.idle = r.timeouts.total = server_.timeout;
    r.replay_stale = true;
    ++tries_[index];
    under_way_[index] = client_.send(std::move(r), std::make_unique<Collector>(mailbox_, index));
  }

  // True: that request is over.
  Result<bool> on_arrival(const Arrival& a, const RemoteDone& done) {
    if (!a.failure && a.response.status == 200) {
      WEIR_TRY(done(a.index, a.response.body));
      return true;
    }
    const auto wait =
        retry_wait_s(server_.retry, tries_[a.index], outcome_of(a, clock_.unix_ns() / 1'000'000));
    if (!wait) {
      const Error error = error_of(server_, a, tries_[a.index]);
      const std::string& id = requests_[a.index].id;
      return id.empty() ? error : error.with_context(fmt::format("item {}", id));
    }
    const auto when = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(
                                                std::chrono::duration<double>(*wait));
    waiting_.emplace(when, a.index);
    return false;
  }

  http::Client& client_;
  const RemoteServer& server_;
  const Clock& clock_;
  const std::string method_;
  std::span<const RemoteRequest> requests_;
  std::vector<int> tries_;  // of each request
  size_t next_ = 0;
  std::map<size_t, http::Client::RequestId> under_way_;
  std::multimap<steady_clock::time_point, size_t> waiting_;
  std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
};

}  // namespace

Result<RemoteServer> remote_server(const std::string& url, const std::string& api_key) {
  RemoteServer server;
  WEIR_ASSIGN(server.url, http::parse_url(url));
  if (server.url.path.ends_with("/v1")) server.url.path.resize(server.url.path.size() - 3);
  if (!http::is_field_value(api_key))
    return make_error(ErrorCode::kUsage, "the API key holds characters that no header may hold");
  if (!api_key.empty()) server.headers.add("Authorization", "Bearer " + api_key);
  return server;
}

Result<RemoteClient> RemoteClient::start(RemoteServer server, size_t parallel, const Clock& clock) {
  http::ClientOptions options;
  options.max_connections_per_host = parallel;
  options.response.body_bytes = ReplyLimits::kBodyBytes;
  WEIR_ASSIGN(auto client, http::Client::start(options));
  return RemoteClient(std::move(server), std::move(client), clock);
}

Status RemoteClient::post_all(std::span<const RemoteRequest> requests, size_t at_once,
                              const RemoteDone& done) {
  return Sending(*client_, server_, "POST", requests, *clock_).run(at_once, done);
}

Result<std::string> RemoteClient::one(const std::string& method, const RemoteRequest& request) {
  std::string out;
  const auto keep = [&out](size_t, const std::string& body) -> Status {
    out = body;
    return {};
  };
  WEIR_TRY(Sending(*client_, server_, method, std::span(&request, 1), *clock_).run(1, keep));
  return out;
}

Result<std::string> RemoteClient::post(const RemoteRequest& request) {
  return one("POST", request);
}

Result<std::string> RemoteClient::get(const std::string& path) {
  return one("GET", {"", path, ""});
}

}  // namespace weir::ops
