#include "http/url.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <utility>

#include "http/message.h"

namespace weir::http {
namespace {

constexpr uint16_t kHttpsPort = 443;
constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";

bool has_scheme(std::string_view text, std::string_view scheme) {
  return text.size() >= scheme.size() && iequals(text.substr(0, scheme.size()), scheme);
}

Error bad_url(std::string_view text, std::string_view why) {
  return make_error(ErrorCode::kUsage, "\"{}\" is not a URL of a server: {}", text, why);
}

// rest: what follows the scheme. url comes with the port of its scheme.
Result<Url> parse_rest(std::string_view text, std::string_view rest, Url url) {
  const auto bad = [&](std::string_view why) { return bad_url(text, why); };
  if (!std::all_of(rest.begin(), rest.end(), [](char c) { return c > 0x20 && c < 0x7F; }))
    return bad("it holds a space, a control character or one beyond ASCII");
  if (rest.find_first_of("?#@") != std::string_view::npos)
    return bad("it has a query, a fragment or a user name");
  const size_t slash = std::min(rest.find('/'), rest.size());
  url.path = rest.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  std::string_view authority = rest.substr(0, slash);
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos) return bad("a '[' without ']'");
    url.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else {
    const size_t colon = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (url.host.empty()) return bad("it has no host");
  if (!port.empty()) {
    const auto [end, ec] = std::from_chars(port.data() + 1, port.data() + port.size(), url.port);
    if (port.front() != ':' || ec != std::errc() || end != port.data() + port.size() ||
        url.port == 0)
      return bad("the port is not a number from 1 to 65535");
  }
  return url;
}

}  // namespace

std::string Url::authority() const {
  if (tls && port == kHttpsPort)
    return host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

Result<Url> parse_url(std::string_view text) {
  if (has_scheme(text, kHttps)) {
    return bad_url(text,
                   "https is not supported; put a TLS-ending proxy in between and use http://");
  }
  if (!has_scheme(text, kHttp))
    return bad_url(text, "it does not begin with http://, as in http://127.0.0.1:8080");
  return parse_rest(text, text.substr(kHttp.size()), Url{});
}

Result<Url> parse_http_or_https_url(std::string_view text) {
  if (has_scheme(text, kHttps)) {
    Url url;
    url.port = kHttpsPort;
    url.tls = true;
    return parse_rest(text, text.substr(kHttps.size()), std::move(url));
  }
  if (!has_scheme(text, kHttp))
    return bad_url(text, "it does not begin with http:// or https://, as in https://host.example");
  return parse_rest(text, text.substr(kHttp.size()), Url{});
}

bool is_loopback(std::string_view host) {
  if (iequals(host, "localhost")) return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(host), error);
  return !error && address.is_loopback();
}

}  // namespace weir::http
