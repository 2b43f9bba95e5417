#include "http/https_head.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <cctype>
#include <exception>
#include <fstream>

namespace weir::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace ssl = asio::ssl;

constexpr uint32_t kMaxHeadBytes = 64 * 1024;

}  // namespace

struct HttpsTrust::Impl {
  // mutable: a new stream takes it by reference and changes nothing but its reference count.
  mutable ssl::context context{ssl::context::tls_client};
};

namespace {

// The steps of one exchange, each started by the one before; run() ends when the last is done, one
// fails or the time is over.
class Exchanger {
 public:
  Exchanger(const HttpsUrl& to, const HttpsTrust& trust, std::chrono::milliseconds timeout)
      : to_(to), timeout_(timeout), stream_(io_, trust.impl().context) {
    parser_.header_limit(kMaxHeadBytes);
    parser_.skip(true);
  }

  beast::http::request<beast::http::empty_body>& request() { return request_; }

  Result<Response> run() {
    stream_.set_verify_mode(ssl::verify_peer);
    stream_.set_verify_callback(ssl::host_name_verification(to_.host));
    std::string name = to_.host;
    SSL_ctrl(stream_.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             name.data());
    resolver_.async_resolve(to_.host, to_.port, [this](auto error, auto addresses) {
      if (failed("look up", ErrorCode::kIo, error)) return;
      beast::get_lowest_layer(stream_).async_connect(addresses,
                                                     [this](auto e, auto&&) { on_connected(e); });
    });
    io_.run_for(timeout_);
    if (!done_) {
      return make_error(ErrorCode::kIo, "{} did not answer within {} ms", to_.authority(),
                        timeout_.count());
    }
    if (!problem_.empty()) return make_error(code_, "{}: {}", to_.authority(), problem_);
    Response response;
    response.status = static_cast<int>(parser_.get().result_int());
    for (const auto& field : parser_.get())
      response.headers.add(std::string_view(field.name_string().data(), field.name_string().size()),
                           std::string_view(field.value().data(), field.value().size()));
    return response;
  }

 private:
  bool failed(const char* what, ErrorCode code, const boost::system::error_code& error) {
    if (!error) return false;
    problem_ = fmt::format("{}: {}", what, error.message());
    code_ = code;
    done_ = true;
    return true;
  }
  void on_connected(const boost::system::error_code& error) {
    if (failed("connect", ErrorCode::kIo, error)) return;
    stream_.async_handshake(ssl::stream_base::client, [this](auto e) {
      if (failed("TLS", ErrorCode::kCorrupt, e)) return;
      beast::http::async_write(stream_, request_, [this](auto write_error, size_t) {
        if (failed("write", ErrorCode::kIo, write_error)) return;
        on_written();
      });
    });
  }
  void on_written() {
    beast::http::async_read_header(stream_, buffer_, parser_, [this](auto e, size_t) {
      const bool closed = e == beast::http::error::end_of_stream || e == asio::error::eof ||
                          e == asio::error::connection_reset || e == ssl::error::stream_truncated;
      if (!failed("read", closed ? ErrorCode::kIo : ErrorCode::kCorrupt, e)) done_ = true;
    });
  }

  const HttpsUrl& to_;
  const std::chrono::milliseconds timeout_;
  asio::io_context io_;
  asio::ip::tcp::resolver resolver_{io_};
  ssl::stream<beast::tcp_stream> stream_;
  beast::flat_buffer buffer_;
  beast::http::request<beast::http::empty_body> request_;
  beast::http::response_parser<beast::http::empty_body> parser_;
  std::string problem_;
  ErrorCode code_ = ErrorCode::kIo;
  bool done_ = false;
};

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

}  // namespace

std::string HttpsUrl::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == "443" ? name : name + ":" + port;
}

Result<HttpsUrl> parse_https_url(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return make_error(ErrorCode::kUsage, "{} is no address: {}; write https://host/path", text,
                      why);
  };
  constexpr std::string_view kScheme = "https://";
  if (!text.starts_with(kScheme)) return bad("it does not begin with https://");
  std::string_view rest = text.substr(kScheme.size());
  rest = rest.substr(0, rest.find('#'));
  if (std::any_of(rest.begin(), rest.end(),
                  [](unsigned char c) { return c <= ' ' || c >= 0x7f || c == '\\'; }))
    return bad("it has a space, a backslash or a letter beyond ASCII");
  HttpsUrl url;
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  if (end < rest.size()) url.target = (rest[end] == '?' ? "/" : "") + std::string(rest.substr(end));
  std::string_view host = rest.substr(0, end);
  if (host.find('@') != std::string_view::npos) return bad("it has a user");
  const size_t bracket = host.starts_with('[') ? host.find(']') : 0;
  if (bracket == std::string_view::npos) return bad("the ] is missing");
  const size_t colon = host.find(':', bracket);
  if (colon != std::string_view::npos) {
    url.port = host.substr(colon + 1);
    if (!is_port(url.port)) return bad("the port is no number");
    host = host.substr(0, colon);
  }
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  if (host.empty()) return bad("the host is missing");
  url.host = host;
  return url;
}

Result<std::string> resolve_location(const HttpsUrl& from, std::string_view location) {
  std::string absolute(location);
  if (location.starts_with("//")) {
    absolute = "https:" + absolute;
  } else if (location.starts_with('/')) {
    absolute = "https://" + from.authority() + absolute;
  } else if (location.find("://") == std::string_view::npos) {
    const std::string path = from.target.substr(0, from.target.find('?'));
    absolute = "https://" + from.authority() + path.substr(0, path.rfind('/') + 1) + absolute;
  }
  WEIR_ASSIGN(const HttpsUrl checked, parse_https_url(absolute));
  return "https://" + checked.authority() + checked.target;
}

Result<HttpsTrust> HttpsTrust::load(const std::string& ca_file) {
  const auto impl = std::make_shared<Impl>();
  boost::system::error_code error;
  impl->context.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                            ssl::context::no_tlsv1_1);
  if (ca_file.empty()) {
    impl->context.set_default_verify_paths(error);
  } else if (!std::ifstream(ca_file).good()) {
    return make_error(ErrorCode::kIo, "cannot read the certificates of {}", ca_file);
  } else {
    impl->context.load_verify_file(ca_file, error);
  }
  if (error) {
    return make_error(ErrorCode::kCorrupt, "{} holds no certificates: {}",
                      ca_file.empty() ? "the system's folder" : ca_file, error.message());
  }
  return HttpsTrust(impl);
}

Result<Response> https_head(const HttpsUrl& url, std::string_view method, const HttpsTrust& trust,
                            std::chrono::milliseconds timeout) {
  try {
    Exchanger exchange(url, trust, timeout);
    auto& request = exchange.request();
    request.method_string({method.data(), method.size()});
    request.target({url.target.data(), url.target.size()});
    request.version(11);
    request.set("Host", url.authority());
    request.set("User-Agent", "weir");
    request.set("Accept", "*/*");
    request.set("Connection", "close");
    return exchange.run();
  } catch (const std::exception& e) {  // Asio: no descriptor left, and the like
    return make_error(ErrorCode::kIo, "{}: {}", url.authority(), e.what());
  }
}

}  // namespace weir::http
