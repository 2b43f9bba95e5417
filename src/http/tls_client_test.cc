// The client over TLS, against the server and against peers that do it wrong.
#include "http/tls_client.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "http/client.h"
#include "http/server_test_util.h"
#include "http/tls_testing.h"

namespace weir::http {
namespace {

using namespace std::chrono_literals;

constexpr long kDay = 86'400;
constexpr const char* kHere = "DNS:localhost,IP:127.0.0.1";

TlsClientOptions of(const std::string& ca_file, const std::string& certificate = {},
                    const std::string& key = {}, const std::string& server_name = {},
                    bool believe_anyone = false) {
  TlsClientOptions o;
  o.ca_file = ca_file;
  o.certificate = certificate;
  o.key = key;
  o.server_name = server_name;
  o.insecure_believe_anyone = believe_anyone;
  return o;
}

class TlsClientTest : public ServerTest {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);  // the raw peer's SSL_write knows no MSG_NOSIGNAL
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("weir_tls_client_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    authority_ = make_identity("authority", -3600, kDay);
    write(authority_, "ca");
    trust_ = trust(of(path("ca.crt")));
    client_ = std::move(*Client::start({}));
  }
  void TearDown() override {
    client_.reset();
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void write(const Identity& id, const std::string& name) const {
    write_identity(id, path(name + ".crt"), path(name + ".key"));
  }
  static std::shared_ptr<const TlsClientContext> trust(const TlsClientOptions& o) {
    auto loaded = TlsClientContext::load(o);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return *loaded;
  }
  // A server whose certificate the authority has signed.
  void serve(const std::string& names = kHere, long begin_s = -3600, long end_s = kDay) {
    serve_as(make_identity("server", begin_s, end_s, &authority_, names));
  }
  void serve_as(const Identity& identity, const std::string& client_ca = {}) {
    server_.reset();
    write(identity, "server");
    auto tls = TlsContext::load({path("server.crt"), path("server.key"), client_ca});
    ASSERT_TRUE(tls.ok()) << tls.error().message;
    options.tls = *tls;
    start_echo();
  }
  ClientRequest request(uint16_t port, const std::string& host = "127.0.0.1") {
    ClientRequest r;
    r.url = *parse_http_or_https_url("https://" + host + ":" + std::to_string(port));
    r.tls = trust_;
    r.timeouts.total = 20s;
    return r;
  }
  // The answer's body, or the name and message of what went wrong; with "sent" when it was.
  std::string ask(ClientRequest r) {
    std::promise<std::string> done;
    auto answer = done.get_future();
    client_->send(std::move(r), std::make_unique<Teller>(std::move(done)));
    return answer.get();
  }
  std::string ask(const std::string& host = "127.0.0.1") {
    return ask(request(server_->port(), host));
  }

  class Teller final : public ResponseHandler {
   public:
    explicit Teller(std::promise<std::string> done) : done_(std::move(done)) {}
    bool on_body(std::string_view piece) override {
      body_ += piece;
      return true;
    }
    void on_end(const Failure* f) override {
      if (f == nullptr) return done_.set_value(body_);
      done_.set_value(
          fmt::format("{}{}: {}", failure_kind_name(f->kind), f->sent ? " sent" : "", f->message));
    }

   private:
    std::promise<std::string> done_;
    std::string body_;
  };

  Identity authority_;
  std::shared_ptr<const TlsClientContext> trust_;
  std::filesystem::path folder_;
  std::unique_ptr<Client> client_;
};

// A peer made by hand: accepts one connection and does with it what it is told.
class RawPeer {
 public:
  explicit RawPeer(std::function<void(int fd)> serve) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(listener_, 4), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, serve = std::move(serve)] {
      const int fd = ::accept(listener_, nullptr, nullptr);
      serve(fd);
      ::close(fd);
    });
  }
  ~RawPeer() {
    thread_.join();
    ::close(listener_);
  }
  uint16_t port() const { return port_; }

 private:
  int listener_ = -1;
  uint16_t port_ = 0;
  std::thread thread_;
};

TEST_F(TlsClientTest, RequestsOfAnySizeOnOneConnection) {
  serve();
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{20'000}, size_t{3'000'000}}) {
    ClientRequest r = request(server_->port());
    r.method = "POST";
    r.target = "/x";
    r.body = std::string(bytes, 'b');
    EXPECT_EQ(ask(std::move(r)), "POST /x " + std::string(bytes, 'b'));
  }
  EXPECT_EQ(observer.count("opened"), 1);
  EXPECT_EQ(ask("localhost"), "GET / ");
}

TEST_F(TlsClientTest, TheCertificateMustBeForTheHost) {
  serve("DNS:other.example,DNS:*.wild.example,IP:10.1.2.3");
  const std::string told = ask();
  EXPECT_TRUE(told.starts_with("tls: 127.0.0.1:")) << told;
  EXPECT_NE(told.find("is for other.example, *.wild.example, 10.1.2.3, not for 127.0.0.1"),
            std::string::npos)
      << told;
  EXPECT_TRUE(ask("localhost").starts_with("tls: "));
  for (const auto& [name, good] : {std::pair{"other.example", true},
                                   {"OTHER.example", true},
                                   {"a.wild.example", true},
                                   {"a.b.wild.example", false},
                                   {"wild.example", false},
                                   {"server", false},  // the common name does not count
                                   {"10.1.2.3", true},
                                   {"10.1.2.4", false}}) {
    trust_ = trust(of(path("ca.crt"), {}, {}, name));
    EXPECT_EQ(ask(), good ? "GET / " : ask()) << name;
    EXPECT_EQ(ask().starts_with("tls: "), !good) << name;
  }
  EXPECT_EQ(observer.count("200"), 8);  // two of each good name
  serve("");
  trust_ = trust(of(path("ca.crt"), {}, {}, "server"));
  EXPECT_NE(ask().find("is for no name at all, not for server"), std::string::npos) << ask();
}

TEST_F(TlsClientTest, DatesAndAuthorities) {
  serve(kHere, -kDay * 9, -kDay * 3);
  EXPECT_NE(ask().find("its certificate expired on 20"), std::string::npos) << ask();
  serve(kHere, kDay * 3, kDay * 9);
  EXPECT_NE(ask().find("its certificate is not valid before 20"), std::string::npos) << ask();
  serve();
  EXPECT_EQ(ask(), "GET / ");
  trust_ = trust({});  // the system's authorities, which do not know ours
  EXPECT_NE(ask().find("an authority that is not trusted: /CN=authority"), std::string::npos)
      << ask();
  serve_as(make_identity("alone", -3600, kDay, nullptr, kHere));
  EXPECT_NE(ask().find("signed by itself"), std::string::npos) << ask();
  EXPECT_TRUE(ask().starts_with("tls: "));
  trust_ = trust(of(path("server.crt")));
  EXPECT_EQ(ask(), "GET / ");
}

TEST_F(TlsClientTest, OnlyTheLoudNameTurnsTheCheckOff) {
  serve("DNS:other.example", -kDay * 9, -kDay * 3);
  EXPECT_TRUE(ask().starts_with("tls: "));
  trust_ = trust(of({}, {}, {}, {}, true));
  EXPECT_EQ(ask(), "GET / ");
}

// A kept-alive connection serves only requests that believe the same authorities.
TEST_F(TlsClientTest, ConnectionsAreKeptApartByTrust) {
  serve();
  EXPECT_EQ(ask(), "GET / ");
  const auto good = trust_;
  trust_ = trust({});
  EXPECT_TRUE(ask().starts_with("tls: "));
  trust_ = good;
  EXPECT_EQ(ask(), "GET / ");
  EXPECT_EQ(observer.count("200"), 2);
  EXPECT_EQ(client_->connections(), 1U);
  trust_ = nullptr;
  EXPECT_EQ(ask(), "tls: the client was started without TLS");
}

TEST_F(TlsClientTest, TheClientMayHaveToShowItself) {
  write(make_identity("friend", -3600, kDay, &authority_), "friend");
  serve_as(make_identity("server", -3600, kDay, &authority_, kHere), path("ca.crt"));
  const std::string told = ask();  // TLS 1.3: the refusal comes when the handshake is over
  EXPECT_NE(told.find("certificate required"), std::string::npos) << told;
  trust_ = trust(of(path("ca.crt"), path("friend.crt"), path("friend.key")));
  EXPECT_EQ(ask(), "GET / ");
}

TEST_F(TlsClientTest, TheHandshakeIsWithinTheConnectTimeout) {
  const RawPeer silent([](int fd) {
    char c = 0;
    while (::recv(fd, &c, 1, 0) > 0) continue;
  });
  ClientRequest r = request(silent.port());
  r.timeouts.connect = 50ms;
  const std::string told = ask(std::move(r));
  EXPECT_TRUE(told.starts_with("timeout: ") && told.find("connect timeout") != std::string::npos)
      << told;
}

TEST_F(TlsClientTest, PeersThatSpeakSomethingElse) {
  const auto answers = [&](std::string_view bytes) {
    const RawPeer peer([bytes](int fd) {
      char buffer[4096];
      EXPECT_GT(::recv(fd, buffer, sizeof buffer, 0), 0);
      ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    });
    return ask(request(peer.port()));
  };
  const std::string plain = answers("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_TRUE(plain.starts_with("tls: ")) << plain;
  EXPECT_NE(plain.find("does not speak TLS"), std::string::npos) << plain;
  EXPECT_TRUE(answers("").starts_with("connect: "));
  EXPECT_TRUE(answers("\x16\x03\x03").starts_with("connect: "));
  EXPECT_TRUE(answers(std::string_view("\x15\x03\x03\x00\x02\x02\x28", 7)).starts_with("tls: "));
}

// A body that ends with the stream is whole only when TLS says so: a cut looks the same to TCP.
TEST_F(TlsClientTest, ACutIsNoEnd) {
  write(make_identity("server", -3600, kDay, &authority_, kHere), "server");
  for (const bool orderly : {true, false}) {
    const RawPeer peer([&](int fd) {
      std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_server_method()),
                                                           SSL_CTX_free);
      SSL_CTX_use_certificate_file(context.get(), path("server.crt").c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context.get(), path("server.key").c_str(), SSL_FILETYPE_PEM);
      std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
      SSL_set_fd(ssl.get(), fd);
      EXPECT_EQ(SSL_accept(ssl.get()), 1);
      const char* name = SSL_get_servername(ssl.get(), TLSEXT_NAMETYPE_host_name);
      EXPECT_STREQ(name == nullptr ? "" : name, orderly ? "localhost" : "");  // SNI
      char buffer[4096];
      EXPECT_GT(SSL_read(ssl.get(), buffer, sizeof buffer), 0);
      const std::string answer = "HTTP/1.1 200 OK\r\n\r\nto the end";
      SSL_write(ssl.get(), answer.data(), static_cast<int>(answer.size()));
      if (orderly) SSL_shutdown(ssl.get());
    });
    const std::string told = ask(request(peer.port(), orderly ? "localhost" : "127.0.0.1"));
    EXPECT_TRUE(orderly ? told == "to the end" : told.starts_with("closed sent: ")) << told;
  }
}

TEST_F(TlsClientTest, ErrorsNameTheFile) {
  const auto message = [](const TlsClientOptions& o) {
    const auto loaded = TlsClientContext::load(o);
    return loaded.ok() ? "none" : loaded.error().message;
  };
  write(make_identity("a", -3600, kDay), "a");
  write(make_identity("b", -3600, kDay), "b");
  std::ofstream(path("empty")).close();
  EXPECT_EQ(message(of(path("none"))),
            "the CA file: cannot read " + path("none") + ": No such file or directory");
  EXPECT_NE(message(of(path("empty"))).find("the file is empty"), std::string::npos);
  EXPECT_NE(message(of(path("a.key"))).find("holds no certificate"), std::string::npos);
  EXPECT_NE(message(of({}, path("a.crt"))).find("the key is missing"), std::string::npos);
  EXPECT_NE(message(of({}, {}, path("a.key"))).find("the certificate is missing"),
            std::string::npos);
  EXPECT_NE(message(of({}, path("a.crt"), path("b.key"))).find("is not that of"),
            std::string::npos);
  EXPECT_NE(message(of({}, path("a.crt"), path("a.crt"))).find("holds no private key"),
            std::string::npos);
  EXPECT_EQ(message(of({}, path("a.crt"), path("a.key"))), "none");
}

}  // namespace
}  // namespace weir::http
