// TLS over loopback, with certificates made here.
#include "http/tls.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "http/server_test_util.h"
#include "http/tls_testing.h"
#include "http/websocket_test_util.h"

namespace weir::http {
namespace {

using namespace std::chrono_literals;

class TlsTest : public ServerTest {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);  // the client's SSL_write knows no MSG_NOSIGNAL
    folder_ =
        std::filesystem::path(testing::TempDir()) / ("weir_tls_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    server_identity_ = make_identity("server", -3600, 86'400 * 90);
    write(server_identity_, "server");
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void write(const Identity& id, const std::string& name) const {
    write_identity(id, path(name + ".crt"), path(name + ".key"));
  }
  TlsFiles files(const std::string& certificate = "server", const std::string& key = "server") {
    return {path(certificate + ".crt"), path(key + ".key"), {}};
  }
  void start_tls(TlsFiles f) {
    auto tls = TlsContext::load(std::move(f));
    ASSERT_TRUE(tls.ok()) << tls.error().message;
    options.tls = *tls;
    start_echo();
  }

  Identity server_identity_;
  std::filesystem::path folder_;
};

// A blocking client on OpenSSL. Trusts anyone; says who it was.
class TlsClient {
 public:
  explicit TlsClient(uint16_t port, const Identity* identity = nullptr, const char* alpn = "",
                     int max_version = 0)
      : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free), ssl_(nullptr, SSL_free) {
    if (max_version != 0) {
      SSL_CTX_set_security_level(context_.get(), 0);
      SSL_CTX_set_min_proto_version(context_.get(), 0);
      SSL_CTX_set_max_proto_version(context_.get(), max_version);
    }
    if (identity != nullptr) {
      SSL_CTX_use_certificate(context_.get(), identity->certificate.get());
      SSL_CTX_use_PrivateKey(context_.get(), identity->key.get());
    }
    ssl_.reset(SSL_new(context_.get()));
    if (*alpn != 0) {
      const std::string list = static_cast<char>(std::string(alpn).size()) + std::string(alpn);
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(list.data()),
                          static_cast<unsigned>(list.size()));
    }
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return;
    SSL_set_fd(ssl_.get(), fd_);
    open_ = SSL_connect(ssl_.get()) == 1;
  }
  ~TlsClient() { ::close(fd_); }
  bool open() const { return open_; }
  SSL* ssl() { return ssl_.get(); }
  int fd() const { return fd_; }
  bool send(std::string_view bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
  }
  std::string receive(size_t bytes = 65536) {
    std::string out(bytes, '\0');
    const int n = SSL_read(ssl_.get(), out.data(), static_cast<int>(bytes));
    out.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return out;
  }
  std::string receive_all() {
    std::string all;
    for (std::string piece = receive(); !piece.empty(); piece = receive()) all += piece;
    return all;
  }
  std::string peer() {
    const X509* c = SSL_get0_peer_certificate(ssl_.get());
    char name[64] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(c), NID_commonName, name, sizeof(name));
    return name;
  }

 private:
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
  int fd_ = -1;
  bool open_ = false;
};

TEST_F(TlsTest, ServesRequestsOfAnySize) {
  start_tls(files());
  TlsClient c(server_->port(), nullptr, "http/1.1");
  ASSERT_TRUE(c.open());
  EXPECT_STREQ(SSL_get_version(c.ssl()), "TLSv1.3");
  const unsigned char* alpn = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(c.ssl(), &alpn, &size);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(alpn), size), "http/1.1");
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{20'000}, size_t{3'000'000}}) {
    c.send(post("/x", std::string(bytes, 'b')));  // an SSL is of one thread
    std::string all;
    while (all.find("\r\n\r\n") == std::string::npos ||
           all.size() - all.find("\r\n\r\n") - 4 < bytes + 8) {
      const std::string piece = c.receive();
      ASSERT_FALSE(piece.empty());
      all += piece;
    }
    EXPECT_TRUE(all.starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(all.ends_with("POST /x " + std::string(bytes, 'b')));
  }
  c.send(get("/", "Connection: close\r\n"));
  EXPECT_TRUE(c.receive_all().ends_with("GET / "));
  EXPECT_EQ(SSL_get_shutdown(c.ssl()) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
  EXPECT_TRUE(eventually([&] { return options.tls->handshakes() == 0; }));
}

TEST_F(TlsTest, WebSocketRunsOverIt) {
  options.websocket.on_message = [](Request request, ResponseWriter writer) {
    writer.send({200, {}, "again: " + request.body});
  };
  auto tls = TlsContext::load(files());
  ASSERT_TRUE(tls.ok());
  options.tls = *tls;
  start([](Request, ResponseWriter writer) { writer.send({101, {}, {}}); });
  TlsClient c(server_->port());
  c.send(handshake("/") + text_frame("hello"));
  std::string all;
  while (all.find("again: hello") == std::string::npos) {
    const std::string piece = c.receive();
    ASSERT_FALSE(piece.empty()) << all;
    all += piece;
  }
  EXPECT_TRUE(all.starts_with("HTTP/1.1 101 "));
}

TEST_F(TlsTest, OldVersionsAndForeignProtocolsAreRefused) {
  start_tls(files());
  EXPECT_FALSE(TlsClient(server_->port(), nullptr, "", TLS1_1_VERSION).open());
  EXPECT_TRUE(TlsClient(server_->port(), nullptr, "", TLS1_2_VERSION).open());
  EXPECT_FALSE(TlsClient(server_->port(), nullptr, "h2").open());
  EXPECT_TRUE(TlsClient(server_->port()).open());
}

TEST_F(TlsTest, RenegotiationIsRefused) {
  start_tls(files());
  TlsClient c(server_->port(), nullptr, "", TLS1_2_VERSION);
  ASSERT_TRUE(c.open());
  EXPECT_EQ(SSL_renegotiate(c.ssl()) == 1 && SSL_do_handshake(c.ssl()) == 1, false);
  EXPECT_TRUE(TlsClient(server_->port()).open());
}

TEST_F(TlsTest, ClientsNeedACertificateWhenAsked) {
  const Identity authority = make_identity("authority", -3600, 86'400);
  const Identity friendly = make_identity("friend", -3600, 86'400, &authority);
  const Identity stranger = make_identity("stranger", -3600, 86'400);
  const Identity expired = make_identity("expired", -7200, -3600, &authority);
  write(authority, "ca");
  TlsFiles f = files();
  f.client_ca = path("ca.crt");
  start_tls(f);
  const auto served = [&](const Identity* identity) {
    TlsClient c(server_->port(), identity);
    c.send(get("/", "Connection: close\r\n"));
    return c.receive_all().starts_with("HTTP/1.1 200");
  };
  EXPECT_TRUE(served(&friendly));
  EXPECT_FALSE(served(nullptr));
  EXPECT_FALSE(served(&stranger));
  EXPECT_FALSE(served(&expired));
}

TEST_F(TlsTest, PlainHttpIsToldSo) {
  start_tls(files());
  TestClient c = client();
  c.send(get("/health"));
  const auto response = c.read_response();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 400);
  EXPECT_NE(response->body.find("https://"), std::string::npos);
  EXPECT_EQ(response->body.back(), '\n');
  EXPECT_TRUE(c.wait_closed());
}

TEST_F(TlsTest, GarbageAndSilenceEndOnlyTheirOwnConnection) {
  options.limits.header_timeout = 200ms;
  start_tls(files());
  TestClient silent = client();
  TestClient slow = client();
  slow.send("\x16\x03\x01");
  for (const std::string& garbage : {std::string("\x16\x03\x01\xff\xff") + std::string(300, 'x'),
                                     std::string(300, '\0'), std::string("\x80\x2e\x01\x00\x02"),
                                     std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10),
                                     std::string(100'000, '\xee')}) {
    TestClient c = client();
    c.send(garbage);
    EXPECT_TRUE(c.wait_closed());
  }
  TestClient gone = client();
  gone.send("\x16\x03\x01");
  gone.reset();
  TestClient half = client();
  half.send("\x16\x03\x01");
  half.shutdown_send();
  EXPECT_TRUE(half.wait_closed());
  EXPECT_TRUE(silent.wait_closed());
  EXPECT_TRUE(slow.wait_closed());
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
  EXPECT_EQ(options.tls->handshakes(), 0U);
  EXPECT_TRUE(TlsClient(server_->port()).open());
}

TEST_F(TlsTest, AHelloCutAtEveryByte) {
  options.limits.header_timeout = 5s;
  start_tls(files());
  // What a client says first, taken from one that talks to memory.
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                       SSL_CTX_free);
  std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  SSL_connect(ssl.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  const std::string bytes(data, static_cast<size_t>(size));
  ASSERT_GT(bytes.size(), 100U);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    TestClient c = client();
    c.send(std::string_view(bytes).substr(0, cut));
    if (cut % 2 == 0) c.reset();
  }
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
  EXPECT_TRUE(TlsClient(server_->port()).open());
}

TEST_F(TlsTest, HandshakesAreBounded) {
  options.limits.max_tls_handshakes = 4;
  start_tls(files());
  std::vector<TestClient> held;
  for (int i = 0; i < 4; ++i) held.push_back(client());
  ASSERT_TRUE(eventually([&] { return options.tls->handshakes() == 4; }));
  EXPECT_FALSE(TlsClient(server_->port()).open());
  EXPECT_EQ(observer.count("max_tls_handshakes"), 1);
  held.clear();
  EXPECT_TRUE(eventually([&] { return options.tls->handshakes() == 0; }));
  EXPECT_TRUE(TlsClient(server_->port()).open());
}

TEST_F(TlsTest, ACutConnectionIsNoticedAndAStreamArrives) {
  options.tls = *TlsContext::load(files());
  std::atomic<int> gone = 0;
  std::vector<ResponseWriter> held;
  start([&](Request, ResponseWriter writer) {
    writer.on_closed([&](CloseReason) { ++gone; });
    writer.begin_stream(200, {});
    writer.write("data: x\n\n");
    held.push_back(std::move(writer));
  });
  {
    TlsClient c(server_->port());
    c.send(get("/"));
    std::string all;
    while (all.find("data: x") == std::string::npos) all += c.receive();
    SSL_shutdown(c.ssl());  // an orderly end first
  }
  EXPECT_TRUE(eventually([&] { return gone == 1; }));
  {
    TlsClient c(server_->port());
    c.send(get("/"));
    EXPECT_FALSE(c.receive().empty());
  }
  EXPECT_TRUE(eventually([&] { return gone == 2; }));
}

TEST_F(TlsTest, ReloadIsAllOrNothing) {
  start_tls(files());
  TlsClient before(server_->port());
  EXPECT_EQ(before.peer(), "server");
  const Identity renewed = make_identity("renewed", -3600, 86'400 * 90);
  write(renewed, "server");
  EXPECT_TRUE(options.tls->reload().ok());
  EXPECT_EQ(TlsClient(server_->port()).peer(), "renewed");
  before.send(get("/"));
  EXPECT_TRUE(before.receive().starts_with("HTTP/1.1 200"));  // it keeps what it began with
  std::filesystem::resize_file(path("server.crt"), 100);
  EXPECT_FALSE(options.tls->reload().ok());
  EXPECT_EQ(TlsClient(server_->port()).peer(), "renewed");
}

TEST_F(TlsTest, ErrorsNameTheFile) {
  const auto message = [&](TlsFiles f) {
    const auto loaded = TlsContext::load(std::move(f));
    return loaded.ok() ? std::string("none") : loaded.error().message;
  };
  write(make_identity("other", -3600, 86'400), "other");
  EXPECT_EQ(message(files("server", "other"))
                .find("--tls-key: the key in " + path("other.key") + " is not that of"),
            0U);
  EXPECT_NE(message(files("missing")).find("cannot read " + path("missing.crt") + ": No such file"),
            std::string::npos);
  std::filesystem::copy(path("server.key"), path("key.crt"));
  EXPECT_NE(message(files("key")).find("holds no certificate"), std::string::npos);
  std::filesystem::copy(path("server.crt"), path("crt.key"));
  EXPECT_NE(message(files("server", "crt")).find("holds no private key"), std::string::npos);
  EXPECT_NE(message({path("server.crt"), "", ""}).find("--tls-key is missing"), std::string::npos);
  TlsFiles f = files();
  f.client_ca = path("server.key");
  EXPECT_NE(message(f).find("--tls-client-ca"), std::string::npos);
  std::ofstream(path("empty.crt")).close();
  EXPECT_NE(message(files("empty")).find("the file is empty"), std::string::npos);
}

TEST_F(TlsTest, WarnsOfCertificatesThatWillNotWork) {
  const int64_t now = std::time(nullptr);
  const auto warnings = [&](long begin_s, long end_s) {
    write(make_identity("w", begin_s, end_s), "w");
    const auto all = (*TlsContext::load(files("w", "w")))->warnings(now);
    return all.empty() ? std::string() : all[0];
  };
  EXPECT_EQ(warnings(-10, 86'400 * 90), "");
  EXPECT_NE(warnings(-86'400 * 9, -86'400 * 3 + 60).find("expired"), std::string::npos);
  EXPECT_NE(warnings(86'400, 86'400 * 2).find("not valid yet"), std::string::npos);
  EXPECT_NE(warnings(-10, 86'400 * 5 + 60).find("expires in 5 days"), std::string::npos);
}

}  // namespace
}  // namespace weir::http
