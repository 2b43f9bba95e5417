#include "http/tls_transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <system_error>
#include <utility>
#include <vector>

namespace weir::http {
namespace {

namespace asio = boost::asio;

constexpr size_t kNetworkBytes = 16 * 1024;
// Of one SSL_write: four records.
constexpr size_t kMaxWriteBytes = 64 * 1024;
// Records that wait for the peer to read: what write_some gives at once, and as much again for
// alerts and key updates. A peer that provokes more without reading is cut.
constexpr size_t kMaxOutgoingBytes = 2 * kMaxWriteBytes + 16 * 1024;
constexpr char kHandshakeRecord = 0x16;

constexpr std::string_view kPlainAnswer =
    "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
    "content-length: 124\r\n\r\n"
    R"({"error":{"message":"this port speaks TLS: use https://","type":"invalid_request_error","param":null,"code":"bad_request"}})"
    "\n";

// OpenSSL between two buffers in memory; the network is the inner transport. Everything on the I/O
// thread. Shared with the operations of the inner transport.
class Session : public std::enable_shared_from_this<Session> {
 public:
  // context: of a server; null: the session is a client's, and peer is there.
  Session(std::unique_ptr<Transport> inner, std::shared_ptr<TlsContext> context,
          std::unique_ptr<TlsPeer> peer, SSL* ssl, const asio::any_io_executor& executor)
      : inner_(std::move(inner)),
        context_(std::move(context)),
        peer_(std::move(peer)),
        ssl_(ssl, SSL_free),
        from_network_(BIO_new(BIO_s_mem())),
        to_network_(BIO_new(BIO_s_mem())),
        executor_(executor),
        network_(kNetworkBytes) {
    SSL_set_bio(ssl, from_network_, to_network_);
    if (context_) {
      SSL_set_accept_state(ssl);
      ++context_->handshakes();
    } else {
      SSL_set_connect_state(ssl);
    }
  }
  ~Session() { end_handshake(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void handshake(Transport::Completion done) {
    handshake_done_ = std::move(done);
    pump();
  }
  void read(std::span<char> buffer, Transport::Completion done) {
    read_buffer_ = buffer;
    read_done_ = std::move(done);
    pump();
  }
  void write(std::string_view data, Transport::Completion done) {
    write_data_ = data;
    write_done_ = std::move(done);
    pump();
  }
  void shutdown() {
    shutdown_wanted_ = true;
    pump();
  }
  void close() {
    if (!closed_) inner_->close();
    fail(std::make_error_code(std::errc::operation_canceled));
    closed_ = true;
  }
  std::string remote() const { return inner_->remote(); }
  std::string problem() const { return peer_ ? peer_->problem : std::string(); }

 private:
  // Does all that can be done without waiting.
  void pump() {
    if (closed_) return;
    if (!error_ && !plain_) {
      ERR_clear_error();
      if (handshake_over_ || shake()) {
        decrypt();
        encrypt();
        end_stream();
      }
    }
    flush();
    if (error_ && outgoing_.empty()) return fail(error_);
    if (read_done_ || !handshake_over_) receive();
  }

  bool shake() {
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) {
      end_handshake();
      handshake_over_ = true;
      complete(handshake_done_, {}, 0);
      return true;
    }
    check(result);
    return false;
  }

  void end_handshake() {
    if (std::exchange(handshake_counted_, false) && context_) --context_->handshakes();
  }

  // What OpenSSL says beyond "more bytes, please" ends the session; its alert still goes out.
  void check(int result) {
    const int reason = SSL_get_error(ssl_.get(), result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) return;
    if (reason == SSL_ERROR_ZERO_RETURN) {
      end_of_input_ = true;  // the peer has ended its direction only: ours goes on
    } else {
      if (peer_ && peer_->problem.empty()) peer_->problem = tls_problem();
      error_ = std::make_error_code(std::errc::protocol_error);
    }
  }

  static std::string tls_problem() {
    const bool foreign = ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_WRONG_VERSION_NUMBER;
    const std::string reason = openssl_reason();
    return foreign ? "what answers there does not speak TLS" : "TLS: " + reason;
  }

  // How a stream ends that the peer has ended properly.
  std::error_code orderly_end() const {
    if (context_) return std::make_error_code(std::errc::connection_aborted);
    return boost::system::error_code(asio::error::eof);
  }

  void decrypt() {
    if (!read_done_ || error_) return;
    const int n = SSL_read(ssl_.get(), read_buffer_.data(),
                           static_cast<int>(std::min<size_t>(read_buffer_.size(), 1 << 30)));
    if (n > 0) return complete(read_done_, {}, static_cast<size_t>(n));
    check(n);
    if (end_of_input_) complete(read_done_, orderly_end(), 0);
  }

  void encrypt() {
    if (!write_done_ || accepted_ > 0 || error_) return;
    const int wanted = static_cast<int>(std::min(write_data_.size(), kMaxWriteBytes));
    const int n = SSL_write(ssl_.get(), write_data_.data(), wanted);
    if (n > 0) {
      accepted_ = static_cast<size_t>(n);
    } else {
      check(n);
    }
  }

  void end_stream() {
    if (!shutdown_wanted_ || shutdown_said_ || (write_done_ && accepted_ == 0)) return;
    shutdown_said_ = true;
    if (SSL_shutdown(ssl_.get()) < 0) ERR_clear_error();
  }

  void flush() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(to_network_, &data);
    if (size > 0) {
      outgoing_.append(data, static_cast<size_t>(size));
      (void)BIO_reset(to_network_);
    }
    if (outgoing_.size() - sent_ > kMaxOutgoingBytes)
      return fail(std::make_error_code(std::errc::no_buffer_space));
    if (sending_) return;
    if (sent_ == outgoing_.size()) return flushed();
    sending_ = true;
    // A string that grows meanwhile would move: the part on its way is kept apart.
    on_its_way_ = outgoing_.substr(sent_);
    inner_->write_some(on_its_way_,
                       [self = shared_from_this()](std::error_code error, size_t bytes) {
                         self->on_sent(error, bytes);
                       });
  }

  void on_sent(std::error_code error, size_t bytes) {
    sending_ = false;
    if (error) return fail(error);
    sent_ += bytes;
    pump();
  }

  void flushed() {
    outgoing_.clear();
    sent_ = 0;
    if (accepted_ > 0) complete(write_done_, {}, std::exchange(accepted_, 0));
    const bool over = (shutdown_said_ || (shutdown_wanted_ && !handshake_over_) || plain_);
    if (over && !std::exchange(inner_shut_, true)) inner_->shutdown_send();
  }

  void receive() {
    if (receiving_ || closed_ || error_ || end_of_input_) return;
    receiving_ = true;
    inner_->read_some(network_, [self = shared_from_this()](std::error_code error, size_t bytes) {
      self->on_received(error, bytes);
    });
  }

  void on_received(std::error_code error, size_t bytes) {
    receiving_ = false;
    if (error) {
      const bool cut =
          !context_ && error == std::error_code(boost::system::error_code(asio::error::eof));
      return fail(cut ? std::make_error_code(std::errc::connection_aborted) : error);
    }
    if (!std::exchange(heard_, true) && context_ && network_[0] != kHandshakeRecord) {
      // Letters begin every HTTP method and no TLS record.
      plain_ = network_[0] >= 'A' && network_[0] <= 'Z';
      if (plain_) outgoing_ += kPlainAnswer;
    }
    if (!plain_) BIO_write(from_network_, network_.data(), static_cast<int>(bytes));
    pump();  // what a plain client sends is dropped until it closes or the timeout does
  }

  void complete(Transport::Completion& slot, std::error_code error, size_t bytes) {
    if (!slot) return;
    // Posted: a completion may start the next operation.
    asio::post(executor_,
               [done = std::exchange(slot, nullptr), error, bytes] { done(error, bytes); });
  }

  void fail(std::error_code error) {
    error_ = error;
    accepted_ = 0;
    end_handshake();
    complete(handshake_done_, error, 0);
    complete(read_done_, error, 0);
    complete(write_done_, error, 0);
  }

  std::unique_ptr<Transport> inner_;
  std::shared_ptr<TlsContext> context_;  // shared: counts this handshake
  std::unique_ptr<TlsPeer> peer_;        // a client's; before ssl_, which points to it
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
  BIO* from_network_;  // both owned by ssl_
  BIO* to_network_;
  asio::any_io_executor executor_;

  bool handshake_over_ = false;
  bool handshake_counted_ = true;
  bool heard_ = false;  // a byte came
  bool plain_ = false;  // it is no TLS
  bool closed_ = false;
  bool end_of_input_ = false;
  std::error_code error_;
  Transport::Completion handshake_done_;

  std::vector<char> network_;
  bool receiving_ = false;
  std::span<char> read_buffer_;
  Transport::Completion read_done_;

  std::string outgoing_;  // records, from sent_ on not yet taken by inner_
  size_t sent_ = 0;
  std::string on_its_way_;
  bool sending_ = false;
  std::string_view write_data_;
  size_t accepted_ = 0;  // bytes of write_data_ that are encrypted
  Transport::Completion write_done_;
  bool shutdown_wanted_ = false;
  bool shutdown_said_ = false;
  bool inner_shut_ = false;
};

class TlsTransport final : public TlsClientTransport {
 public:
  explicit TlsTransport(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  ~TlsTransport() override { session_->close(); }
  void handshake(Completion done) override { session_->handshake(std::move(done)); }
  void read_some(std::span<char> buffer, Completion done) override {
    session_->read(buffer, std::move(done));
  }
  void write_some(std::string_view data, Completion done) override {
    session_->write(data, std::move(done));
  }
  void shutdown_send() override { session_->shutdown(); }
  void close() override { session_->close(); }
  std::string remote() const override { return session_->remote(); }
  std::string problem() const override { return session_->problem(); }

 private:
  std::shared_ptr<Session> session_;  // shared with the inner transport's pending operations
};

}  // namespace

std::unique_ptr<Transport> make_tls_transport(std::unique_ptr<Transport> inner,
                                              std::shared_ptr<TlsContext> context,
                                              const asio::any_io_executor& executor) {
  SSL* ssl = context->new_session();
  if (ssl == nullptr) return nullptr;
  return std::make_unique<TlsTransport>(
      std::make_shared<Session>(std::move(inner), std::move(context), nullptr, ssl, executor));
}

std::unique_ptr<TlsClientTransport> make_tls_client_transport(
    std::unique_ptr<Transport> inner, const TlsClientContext& context, const std::string& host,
    const asio::any_io_executor& executor) {
  auto peer = std::make_unique<TlsPeer>();
  SSL* ssl = context.new_session(host, *peer);
  if (ssl == nullptr) return nullptr;
  return std::make_unique<TlsTransport>(
      std::make_shared<Session>(std::move(inner), nullptr, std::move(peer), ssl, executor));
}

}  // namespace weir::http
