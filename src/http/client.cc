#include "http/client.h"

#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <future>
#include <map>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "http/client_connection.h"
#include "http/server.h"
#include "os/thread.h"

namespace weir::http {

namespace asio = boost::asio;
using std::chrono::steady_clock;

std::string_view failure_kind_name(FailureKind kind) {
  switch (kind) {
    case FailureKind::kConnect:
      return "connect";
    case FailureKind::kTls:
      return "tls";
    case FailureKind::kTimeout:
      return "timeout";
    case FailureKind::kClosed:
      return "closed";
    case FailureKind::kProtocol:
      return "protocol";
    case FailureKind::kLimit:
      return "limit";
    case FailureKind::kTooMany:
      return "too_many";
    case FailureKind::kCancelled:
      return "cancelled";
    case FailureKind::kStopped:
      return "stopped";
  }
  return "unknown";
}

namespace {

// The connections of one key. Removed when it has neither connections nor requests.
struct Host {
  std::vector<std::shared_ptr<ClientConnection>> idle;  // the last used at the back
  std::deque<std::shared_ptr<ClientJob>> waiting;       // ended ones are skipped
  size_t waiting_live = 0;
  size_t open = 0;
};

const std::shared_ptr<const TlsClientContext>& trust_of(const ClientRequest& request,
                                                        const ClientOptions& options) {
  return request.tls ? request.tls : options.tls;
}

// Requests of one key may share connections: scheme, host, port and whom to believe.
std::string key_of(const ClientRequest& request, const ClientOptions& options) {
  if (!request.url.tls) return request.url.authority();
  const void* trust = trust_of(request, options).get();
  return fmt::format("https://{} {}", request.url.authority(), trust);
}

}  // namespace

// Shared with what is pending on the I/O thread, weakly: on a server's thread that goes on after
// the client. Connections and timers of it are closed by then and touch nothing.
struct Client::Impl final : ClientConnection::Owner, std::enable_shared_from_this<Impl> {
  Impl(ClientOptions o, Server* s)
      : options(std::move(o)),
        server(s),
        own_io(s == nullptr ? std::make_unique<asio::io_context>(1) : nullptr),
        io(s == nullptr ? *own_io : s->io_context()) {}

  const ClientOptions options;
  Server* const server;  // whose thread is the I/O thread; null: the client has its own
  const std::unique_ptr<asio::io_context> own_io;
  asio::io_context& io;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;
  std::atomic<RequestId> next_id = 1;
  std::atomic<size_t> open = 0;  // connections, for any thread to read
  std::thread thread;

  // I/O thread.
  std::map<std::string, Host> hosts;
  std::unordered_map<RequestId, std::shared_ptr<ClientJob>> jobs;
  std::unordered_map<ClientConnection*, std::shared_ptr<ClientConnection>> connections;
  std::unordered_map<uint64_t, Resolver::Done> lookups;  // that are under way
  uint64_t next_lookup = 0;
  bool stopping = false;

  void submit(const std::shared_ptr<ClientJob>& job);
  void assign(const std::string& key, Host& host, std::shared_ptr<ClientJob> job);
  void open_connection(const std::string& key, Host& host, std::shared_ptr<ClientJob> job);
  void wait(Host& host, const std::shared_ptr<ClientJob>& job);
  void on_waited_too_long(RequestId id);
  void serve_waiting(const std::string& key);
  void end(const std::shared_ptr<ClientJob>& job, const Failure* failure);
  void end_soon(const std::shared_ptr<ClientJob>& job, Failure failure);
  void forget(ClientConnection& connection);
  void cancel(RequestId id);
  void resume(RequestId id);
  void stop();

  // fn(Impl&) while the client is there, else nothing.
  template <typename Function>
  auto guarded(Function fn) {
    return [weak = weak_from_this(), fn = std::move(fn)]() mutable {
      if (const auto self = weak.lock()) fn(*self);
    };
  }

  void on_done(ClientConnection& connection, std::shared_ptr<ClientJob> job,
               bool reusable) override;
  void on_failed(ClientConnection& connection, std::shared_ptr<ClientJob> job, Failure failure,
                 bool stale) override;
  void resolve(const std::string& name, Resolver::Done done) override;

  Resolver resolver;  // goes first: its threads post to the I/O thread
};

void Client::Impl::submit(const std::shared_ptr<ClientJob>& job) {
  if (stopping) {
    const Failure failure{FailureKind::kStopped, "the client is stopping", false};
    return job->handler->on_end(&failure);
  }
  jobs.emplace(job->id, job);
  if (job->request.url.tls && !trust_of(job->request, options))
    return end_soon(job, {FailureKind::kTls, "the client was started without TLS", false});
  job->key = key_of(job->request, options);
  assign(job->key, hosts[job->key], job);
}

// Not from within send(): a handler that sends again would recurse.
void Client::Impl::end_soon(const std::shared_ptr<ClientJob>& job, Failure failure) {
  asio::post(io, guarded([job, failure = std::move(failure)](Impl& self) {
               if (!job->ended) self.end(job, &failure);
             }));
}

void Client::Impl::assign(const std::string& key, Host& host, std::shared_ptr<ClientJob> job) {
  if (!host.idle.empty()) {
    const auto connection = std::move(host.idle.back());
    host.idle.pop_back();
    return connection->take(std::move(job));
  }
  if (host.open >= options.max_connections_per_host) return wait(host, job);
  open_connection(key, host, std::move(job));
}

void Client::Impl::open_connection(const std::string& key, Host& host,
                                   std::shared_ptr<ClientJob> job) {
  auto trust = job->request.url.tls ? trust_of(job->request, options) : nullptr;
  auto connection = std::make_shared<ClientConnection>(*this, options, io, key, std::move(trust));
  connections.emplace(connection.get(), connection);
  ++host.open;
  ++open;
  connection->connect(std::move(job));
}

void Client::Impl::wait(Host& host, const std::shared_ptr<ClientJob>& job) {
  if (host.waiting_live >= options.max_waiting_per_host) {
    return end_soon(
        job, {FailureKind::kTooMany,
              fmt::format("{} requests wait for one of the {} connections (max_waiting_per_host)",
                          host.waiting_live, host.open),
              false});
  }
  ++host.waiting_live;
  job->waits = true;
  host.waiting.push_back(job);
  if (job->deadline == steady_clock::time_point::max()) return;
  job->wait_timer = std::make_unique<asio::steady_timer>(io, job->deadline);
  job->wait_timer->async_wait([late = guarded([id = job->id](Impl& self) {
                                 self.on_waited_too_long(id);
                               })](const boost::system::error_code& error) mutable {
    if (!error) late();
  });
}

void Client::Impl::on_waited_too_long(RequestId id) {
  const auto found = jobs.find(id);
  if (found == jobs.end() || !found->second->wait_timer) return;
  const auto late = found->second;
  --hosts[late->key].waiting_live;
  const Failure failure{FailureKind::kTimeout, "no connection came free within the total timeout",
                        false};
  end(late, &failure);
}

// Hands connections, or the right to open one, to those that wait.
void Client::Impl::serve_waiting(const std::string& key) {
  const auto found = hosts.find(key);
  if (found == hosts.end()) return;
  Host& host = found->second;
  while (!host.waiting.empty() &&
         (!host.idle.empty() || host.open < options.max_connections_per_host)) {
    auto job = std::move(host.waiting.front());
    host.waiting.pop_front();
    if (job->ended) continue;
    --host.waiting_live;
    job->waits = false;
    job->wait_timer.reset();
    assign(key, host, std::move(job));
  }
  if (host.open == 0 && host.waiting.empty()) hosts.erase(found);
}

void Client::Impl::end(const std::shared_ptr<ClientJob>& job, const Failure* failure) {
  job->ended = true;
  job->wait_timer.reset();
  jobs.erase(job->id);
  job->handler->on_end(failure);
  job->handler.reset();
}

void Client::Impl::forget(ClientConnection& connection) {
  const auto found = hosts.find(connection.key());
  if (found != hosts.end()) {
    --found->second.open;
    std::erase_if(found->second.idle, [&](const auto& c) { return c.get() == &connection; });
  }
  --open;
  connections.erase(&connection);
}

void Client::Impl::on_done(ClientConnection& connection, std::shared_ptr<ClientJob> job,
                           bool reusable) {
  const std::string key = connection.key();
  if (reusable) {
    hosts[key].idle.push_back(connection.shared_from_this());
  } else {
    forget(connection);
  }
  serve_waiting(key);
  end(job, nullptr);
}

void Client::Impl::on_failed(ClientConnection& connection, std::shared_ptr<ClientJob> job,
                             Failure failure, bool stale) {
  const std::string key = connection.key();
  forget(connection);
  if (job && stale && job->request.replay_stale && !job->replayed && !stopping) {
    job->replayed = true;
    return open_connection(key, hosts[key], std::move(job));  // others may be as stale
  }
  if (!stopping) serve_waiting(key);
  if (job) end(job, &failure);
}

void Client::Impl::cancel(RequestId id) {
  const auto found = jobs.find(id);
  if (found == jobs.end()) return;
  const auto job = found->second;
  if (const auto connection = job->connection.lock()) {
    return connection->fail(FailureKind::kCancelled, "cancelled");
  }
  if (job->waits) --hosts[job->key].waiting_live;  // else it was refused and is about to hear so
  const Failure failure{FailureKind::kCancelled, "cancelled", false};
  end(job, &failure);
}

void Client::Impl::resume(RequestId id) {
  const auto found = jobs.find(id);
  if (found == jobs.end()) return;
  if (const auto connection = found->second->connection.lock()) connection->resume();
}

void Client::Impl::resolve(const std::string& name, Resolver::Done done) {
  const uint64_t id = next_lookup++;
  lookups.emplace(id, std::move(done));
  // On a thread of the resolver's, which ends before this does.
  resolver.resolve(name, [this, id](const Result<Resolver::Addresses>& found) {
    asio::post(io, guarded([id, found](Impl& self) {
                 auto asked = self.lookups.extract(id);
                 if (!asked.empty()) asked.mapped()(found);
               }));
  });
}

void Client::Impl::stop() {
  stopping = true;
  const auto all = connections;
  for (const auto& [key, connection] : all) connection->fail(FailureKind::kStopped, "stopped");
  const auto left = jobs;
  const Failure failure{FailureKind::kStopped, "the client is stopping", false};
  for (const auto& [id, job] : left) end(job, &failure);
  lookups.clear();
  if (own_io) own_io->stop();
}

Client::Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Client>> Client::start(ClientOptions options) {
  try {
    auto impl = std::make_shared<Impl>(std::move(options), nullptr);
    impl->work.emplace(asio::make_work_guard(impl->io));
    impl->thread = std::thread([raw = impl.get()] {
      os::set_thread_name(raw->options.thread_name);
      raw->io.run();
    });
    return std::unique_ptr<Client>(new Client(std::move(impl)));
  } catch (const std::exception& e) {
    return make_error(ErrorCode::kIo, "cannot start the HTTP client: {}", e.what());
  }
}

Result<std::unique_ptr<Client>> Client::start_on(Server& server, ClientOptions options) {
  return std::unique_ptr<Client>(new Client(std::make_shared<Impl>(std::move(options), &server)));
}

Client::~Client() {
  if (impl_->server == nullptr) {
    asio::post(impl_->io, [impl = impl_.get()] { impl->stop(); });
    impl_->thread.join();
    return;
  }
  // Shared: the promise is still at work when the wait is over.
  const auto stopped = std::make_shared<std::promise<void>>();
  const bool runs = impl_->server->post([impl = impl_.get(), stopped] {
    impl->stop();
    stopped->set_value();
  });
  if (runs) {
    stopped->get_future().wait();
  } else {
    impl_->stop();
  }
}

Client::RequestId Client::send(ClientRequest request, std::unique_ptr<ResponseHandler> handler) {
  auto job = std::make_shared<ClientJob>();
  job->id = impl_->next_id++;
  const auto total = request.timeouts.total;
  job->deadline = total.count() > 0 ? steady_clock::now() + total : steady_clock::time_point::max();
  job->request = std::move(request);
  job->handler = std::move(handler);
  const RequestId id = job->id;
  asio::dispatch(impl_->io,
                 impl_->guarded([job = std::move(job)](Impl& self) { self.submit(job); }));
  return id;
}

void Client::cancel(RequestId id) {
  asio::post(impl_->io, impl_->guarded([id](Impl& self) { self.cancel(id); }));
}

void Client::resume(RequestId id) {
  asio::post(impl_->io, impl_->guarded([id](Impl& self) { self.resume(id); }));
}

void Client::post(std::function<void()> fn) {
  asio::post(impl_->io, impl_->guarded([fn = std::move(fn)](Impl&) { fn(); }));
}

void Client::post_at(steady_clock::time_point when, std::function<void()> fn) {
  asio::dispatch(impl_->io, impl_->guarded([when, fn = std::move(fn)](Impl& self) mutable {
    auto timer = std::make_unique<asio::steady_timer>(self.io, when);
    auto& waiting = *timer;
    waiting.async_wait([timer = std::move(timer), late = self.guarded([fn = std::move(fn)](Impl&) {
      fn();
    })](const boost::system::error_code& error) mutable {
      if (!error) late();
    });
  }));
}

void Client::resolve(const std::string& name, Resolved fn) {
  asio::dispatch(impl_->io, impl_->guarded([name, fn = std::move(fn)](Impl& self) mutable {
    self.resolve(name, [name, fn = std::move(fn)](const Result<Resolver::Addresses>& found) {
      if (!found.ok())
        return fn(make_error(ErrorCode::kIo, "the name {} does not resolve: {}", name,
                             found.error().message));
      std::vector<std::string> addresses;
      for (const bool v4 : {true, false})
        for (const asio::ip::address& address : *found)
          if (address.is_v4() == v4) addresses.push_back(address.to_string());
      fn(std::move(addresses));
    });
  }));
}

size_t Client::connections() const { return impl_->open; }

Result<Response> fetch(Client& client, ClientRequest request) {
  class Collect final : public ResponseHandler {
   public:
    explicit Collect(std::promise<Result<Response>>& done) : done_(done) {}
    void on_head(const Response& head) override { response_ = head; }
    bool on_body(std::string_view piece) override {
      response_.body += piece;
      return true;
    }
    void on_end(const Failure* failure) override {
      if (failure == nullptr) return done_.set_value(std::move(response_));
      done_.set_value(make_error(ErrorCode::kIo, "{}", failure->message));
    }

   private:
    std::promise<Result<Response>>& done_;
    Response response_;
  };
  std::promise<Result<Response>> done;
  auto answer = done.get_future();
  client.send(std::move(request), std::make_unique<Collect>(done));
  return answer.get();
}

}  // namespace weir::http
