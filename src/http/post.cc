#include "http/post.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cctype>
#include <exception>

namespace weir::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;

constexpr size_t kMaxAnswerBytes = 64 * 1024;

// The steps of one exchange, each started by the one before; run() ends when the last is done, one
// fails or the time is over.
class Exchanger {
 public:
  Exchanger(const Endpoint& to, std::chrono::milliseconds timeout) : to_(to), timeout_(timeout) {
    parser_.body_limit(kMaxAnswerBytes);
  }

  beast::http::request<beast::http::string_body>& request() { return request_; }

  Result<Response> run() {
    resolver_.async_resolve(to_.host, to_.port, [this](auto error, auto addresses) {
      if (failed("look up", error)) return;
      stream_.async_connect(addresses, [this](auto e, auto&&) { on_connected(e); });
    });
    io_.run_for(timeout_);
    if (!done_) {
      return make_error(ErrorCode::kIo, "{}:{} did not answer within {} ms", to_.host, to_.port,
                        timeout_.count());
    }
    if (!problem_.empty())
      return make_error(ErrorCode::kIo, "{}:{}: {}", to_.host, to_.port, problem_);
    Response response;
    response.status = static_cast<int>(parser_.get().result_int());
    for (const auto& field : parser_.get())
      response.headers.add(std::string_view(field.name_string().data(), field.name_string().size()),
                           std::string_view(field.value().data(), field.value().size()));
    response.body = std::move(parser_.get().body());
    return response;
  }

 private:
  bool failed(const char* what, const boost::system::error_code& error) {
    if (!error) return false;
    problem_ = fmt::format("{}: {}", what, error.message());
    done_ = true;
    return true;
  }
  void on_connected(const boost::system::error_code& error) {
    if (failed("connect", error)) return;
    beast::http::async_write(stream_, request_, [this](auto e, size_t) {
      if (failed("write", e)) return;
      beast::http::async_read(stream_, buffer_, parser_, [this](auto read_error, size_t) {
        if (!failed("read", read_error)) done_ = true;
      });
    });
  }

  const Endpoint& to_;
  const std::chrono::milliseconds timeout_;
  asio::io_context io_;
  asio::ip::tcp::resolver resolver_{io_};
  beast::tcp_stream stream_{io_};
  beast::flat_buffer buffer_;
  beast::http::request<beast::http::string_body> request_;
  beast::http::response_parser<beast::http::string_body> parser_;
  std::string problem_;
  bool done_ = false;
};

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

}  // namespace

Result<Endpoint> parse_endpoint(std::string_view url, std::string_view default_port) {
  const auto bad = [&](std::string_view why) {
    return make_error(ErrorCode::kUsage, "{} is no endpoint: {}; write http://host:port", url, why);
  };
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return bad("it does not begin with http://");
  std::string_view rest = url.substr(kScheme.size());
  if (rest.find_first_of(" \t\r\n@?#") != std::string_view::npos)
    return bad("it has a space, a user, a query or a fragment");
  Endpoint e;
  const size_t slash = std::min(rest.find('/'), rest.size());
  e.prefix = rest.substr(slash);
  while (e.prefix.ends_with('/')) e.prefix.pop_back();
  rest = rest.substr(0, slash);
  const size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  if (rest.starts_with('[') && bracket == std::string_view::npos) return bad("the ] is missing");
  const size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  e.host = rest.substr(0, colon);
  if (e.host.starts_with('[')) e.host = e.host.substr(1, e.host.size() - 2);
  e.port = colon == std::string_view::npos ? default_port : rest.substr(colon + 1);
  if (e.host.empty()) return bad("the host is missing");
  if (!is_port(e.port)) return bad("the port is no number");
  return e;
}

Result<Response> post_json(const Endpoint& to, std::string_view path, std::string_view body,
                           const Headers& fields, std::chrono::milliseconds timeout) {
  try {
    Exchanger exchange(to, timeout);
    auto& request = exchange.request();
    request.method(beast::http::verb::post);
    request.target(to.prefix + std::string(path));
    request.version(11);
    const bool v6 = to.host.find(':') != std::string::npos;
    request.set("Host", (v6 ? "[" + to.host + "]" : to.host) + ":" + to.port);
    request.set("Content-Type", "application/json");
    request.set("Connection", "close");
    for (const auto& field : fields.all()) request.set(field.name, field.value);
    request.body() = body;
    request.prepare_payload();
    return exchange.run();
  } catch (const std::exception& e) {  // Asio: no descriptor left, and the like
    return make_error(ErrorCode::kIo, "{}:{}: {}", to.host, to.port, e.what());
  }
}

}  // namespace weir::http
