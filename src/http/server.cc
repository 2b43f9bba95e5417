#include "http/server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <map>
#include <thread>
#include <utility>

#include "base/thread_annotations.h"
#include "http/connection.h"
#include "http/tcp_transport.h"
#include "http/tls_transport.h"

namespace weir::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// Connections beyond max_connections that may wait for their 503 at the same time; more are closed
// without one.
constexpr size_t kMaxRejected = 128;
// How long accepting rests when the process has no file descriptor left.
constexpr std::chrono::milliseconds kAcceptBackoff{50};

bool out_of_descriptors(const error_code& error) {
  return error == asio::error::no_descriptors ||
         error == boost::system::errc::too_many_files_open_in_system ||
         error == asio::error::no_buffer_space || error == asio::error::no_memory;
}

Error listen_error(const ServerOptions& options, const error_code& error) {
  std::string remedy = "check the address";
  if (error == asio::error::address_in_use) {
    remedy =
        "stop the process that listens there, or choose another port; where none does, a "
        "connection "
        "that ended holds the port for a minute";
  } else if (error == asio::error::access_denied) {
    remedy = "ports below 1024 need root or CAP_NET_BIND_SERVICE: choose a port from 1024 up";
  } else if (error == boost::system::errc::address_not_available) {
    remedy = "no interface of this machine has that address; 127.0.0.1 and 0.0.0.0 always work";
  }
  return make_error(ErrorCode::kIo, "cannot listen on {}:{}: {}; {}", options.host, options.port,
                    error.message(), remedy);
}

// Binds the acceptor to what the options name.
Status bind(tcp::acceptor& acceptor, const ServerOptions& options) {
  error_code error;
  tcp::resolver resolver(acceptor.get_executor());
  const auto found =
      resolver.resolve(options.host, std::to_string(options.port),
                       tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty()) {
    return make_error(ErrorCode::kIo,
                      "cannot listen on {}:{}: the name does not resolve ({}); use an address",
                      options.host, options.port, error.message());
  }
  // "localhost" may be both ::1 and 127.0.0.1: clients try IPv4 in any case.
  tcp::endpoint endpoint = found.begin()->endpoint();
  for (const auto& entry : found) {
    if (entry.endpoint().address().is_v4()) endpoint = entry.endpoint();
  }
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return listen_error(options, error);
  return {};
}

}  // namespace

struct Server::Impl {
  Observer no_observer;
  ServerContext context;  // outlives the connections in io's pending operations
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(io);
  tcp::acceptor acceptor{io};
  asio::steady_timer accept_timer{io};
  uint16_t port = 0;
  std::map<Connection*, std::shared_ptr<Connection>> connections;  // I/O thread
  std::map<Connection*, std::shared_ptr<Connection>> rejected;     // I/O thread
  std::map<Connection*, std::shared_ptr<Connection>> late;         // I/O thread: came after drain()
  std::thread thread;

  Mutex mutex;
  ConditionVariable changed;
  bool draining WEIR_GUARDED_BY(mutex) = false;  // drain() was called and has not run yet
  size_t open WEIR_GUARDED_BY(mutex) = 0;        // connections.size() + rejected.size()
  bool stopped WEIR_GUARDED_BY(mutex) = false;   // stop() was called; post() is over

  Status listen();
  void accept();
  void on_accept(const error_code& error, tcp::socket socket);
  void accept_waiting();
  void add(tcp::socket socket);
  void remove(Connection& connection);
  void update_open();
  void stop_accepting();
  void drain();
  void refuse_unread();
  void run();
};

Status Server::Impl::listen() {
  WEIR_TRY(bind(acceptor, context.options));
  error_code ignored;
  port = acceptor.local_endpoint(ignored).port();
  return {};
}

void Server::Impl::accept() {
  if (!acceptor.is_open()) return;
  acceptor.async_accept(
      [this](const error_code& error, tcp::socket socket) { on_accept(error, std::move(socket)); });
}

void Server::Impl::on_accept(const error_code& error, tcp::socket socket) {
  if (!error) {
    add(std::move(socket));  // also when the acceptor was closed meanwhile
    return accept();
  }
  if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
  if (!out_of_descriptors(error))
    return accept();  // the peer gave up between SYN and accept, and the like
  context.observer->on_limit("accept_fds");
  accept_timer.expires_after(kAcceptBackoff);
  accept_timer.async_wait([this](const error_code& cancelled) {
    if (!cancelled) accept();
  });
}

void Server::Impl::add(tcp::socket socket) {
  const ServerOptions& options = context.options;
  const bool full =
      connections.size() >= options.limits.max_connections ||
      late.size() >= kMaxRejected;  // of those that come while the server drains few are taken
  if (full && rejected.size() >= kMaxRejected) {
    context.observer->on_limit("max_connections");
    return;  // closes the socket
  }
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  if (options.socket_send_buffer_bytes > 0) {
    socket.set_option(asio::socket_base::send_buffer_size(options.socket_send_buffer_bytes),
                      ignored);
  }
  std::unique_ptr<Transport> transport = std::make_unique<TcpTransport>(std::move(socket));
  if (options.tls) {
    if (options.tls->handshakes() >= options.limits.max_tls_handshakes) {
      context.observer->on_limit("max_tls_handshakes");
      return;  // closes the socket
    }
    transport = make_tls_transport(std::move(transport), options.tls, io.get_executor());
    if (!transport) return;
  }
  auto connection = std::make_shared<Connection>(context, io.get_executor(), std::move(transport));
  (full ? rejected : context.draining ? late : connections).emplace(connection.get(), connection);
  context.observer->on_connection_opened();
  update_open();
  if (full) {
    connection->start_rejected();
  } else {
    connection->start();
  }
}

void Server::Impl::remove(Connection& connection) {
  if (connections.erase(&connection) + rejected.erase(&connection) + late.erase(&connection) == 0)
    return;
  context.observer->on_connection_closed();
  update_open();
}

void Server::Impl::update_open() {
  MutexLock lock(mutex);
  open = connections.size() + (context.draining ? 0 : rejected.size());
  if (open == 0) changed.notify_all();
}

// Takes what the kernel has accepted for us: closing the acceptor would reset it, requests and all.
void Server::Impl::accept_waiting() {
  error_code error;
  acceptor.non_blocking(true, error);
  while (!error) {
    tcp::socket socket(io);
    acceptor.accept(socket, error);
    if (!error) add(std::move(socket));
  }
}

void Server::Impl::stop_accepting() {
  error_code ignored;
  acceptor.close(ignored);
  accept_timer.cancel();
}

void Server::Impl::drain() {
  if (!context.draining && acceptor.is_open()) accept_waiting();
  context.draining = true;
  update_open();
  const auto all = connections;  // closing changes the map
  for (const auto& [key, connection] : all) connection->drain();
  MutexLock lock(mutex);
  draining = false;
  changed.notify_all();
}

void Server::Impl::refuse_unread() {
  const auto all = connections;  // a write that fails at once closes, which changes the map
  for (const auto& [key, connection] : all) connection->refuse_unread();
}

void Server::Impl::run() {
  while (!io.stopped()) {
    try {
      io.run();
    } catch (...) {
      // Only a callback of the caller's can get here; its connection runs into its timeouts, the
      // others live on.
      context.observer->on_limit("callback_exception");
    }
  }
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Handler handler,
                                              ErrorRenderer render_error, const Clock& clock,
                                              Observer* observer) {
  try {
    auto impl = std::make_unique<Impl>();
    impl->context.options = std::move(options);
    impl->context.handler = std::move(handler);
    impl->context.render_error = std::move(render_error);
    impl->context.clock = &clock;
    impl->context.line = std::make_shared<BeginLine>(impl->io.get_executor(), clock);
    impl->context.observer = observer != nullptr ? observer : &impl->no_observer;
    impl->context.on_connection_end = [raw = impl.get()](Connection& connection) {
      raw->remove(connection);
    };
    WEIR_TRY(impl->listen());
    impl->accept();
    impl->thread = std::thread([raw = impl.get()] { raw->run(); });
    return std::unique_ptr<Server>(new Server(std::move(impl)));
  } catch (const std::exception& e) {
    return make_error(ErrorCode::kIo, "cannot start the HTTP server: {}", e.what());
  }
}

uint16_t Server::port() const { return impl_->port; }

size_t Server::connections() const {
  MutexLock lock(impl_->mutex);
  return impl_->open;
}

void Server::set_access(std::vector<std::string> allowed_hosts,
                        std::vector<std::string> cors_origins) {
  post([impl = impl_.get(), hosts = std::move(allowed_hosts),
        origins = std::move(cors_origins)]() mutable {
    impl->context.options.allowed_hosts = std::move(hosts);
    impl->context.options.cors_origins = std::move(origins);
  });
}

void Server::stop_accepting() {
  post([impl = impl_.get()] { impl->stop_accepting(); });
}

void Server::drain() {
  MutexLock lock(impl_->mutex);
  if (impl_->stopped) return;
  impl_->draining = true;
  asio::post(impl_->io, [impl = impl_.get()] { impl->drain(); });
}

void Server::refuse_unread() {
  post([impl = impl_.get()] { impl->refuse_unread(); });
}

bool Server::wait_drained(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  MutexLock lock(impl_->mutex);
  // What waits to be accepted is open once the drain has run.
  while (impl_->open > 0 || impl_->draining) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0)) return false;
    impl_->changed.wait_for(impl_->mutex, left);
  }
  return true;
}

void Server::stop() {
  {
    MutexLock lock(impl_->mutex);
    if (impl_->stopped) return;
    impl_->stopped = true;
    asio::post(impl_->io, [impl = impl_.get()] {
      impl->stop_accepting();
      for (auto* map : {&impl->connections, &impl->rejected, &impl->late}) {
        const auto all = *map;
        for (const auto& [key, connection] : all) connection->close(CloseReason::kServerStopped);
      }
      impl->io.stop();
    });
  }
  impl_->thread.join();
}

bool Server::post(std::function<void()> fn) {
  MutexLock lock(impl_->mutex);
  if (impl_->stopped) return false;
  asio::post(impl_->io, std::move(fn));
  return true;
}

asio::io_context& Server::io_context() { return impl_->io; }

void Server::post_after(std::chrono::nanoseconds delay, std::function<void()> fn) {
  post([impl = impl_.get(), delay, fn = std::move(fn)]() mutable {
    auto timer = std::make_unique<asio::steady_timer>(impl->io, delay);
    auto& waiting = *timer;
    waiting.async_wait([timer = std::move(timer), fn = std::move(fn)](const error_code& error) {
      if (!error) fn();
    });
  });
}

}  // namespace weir::http
