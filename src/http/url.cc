#include "http/url.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>

#include "http/message.h"

namespace weir::http {

std::string Url::authority() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

Result<Url> parse_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  const auto bad = [&](std::string_view why) {
    return make_error(ErrorCode::kUsage, "\"{}\" is not a URL of a server: {}", text, why);
  };
  std::string_view rest = text;
  if (rest.size() >= 8 && iequals(rest.substr(0, 8), "https://"))
    return bad("https is not supported; put a TLS-ending proxy in between and use http://");
  if (rest.size() < kScheme.size() || !iequals(rest.substr(0, kScheme.size()), kScheme))
    return bad("it does not begin with http://, as in http://127.0.0.1:8080");
  rest.remove_prefix(kScheme.size());
  if (!std::all_of(rest.begin(), rest.end(), [](char c) { return c > 0x20 && c < 0x7F; }))
    return bad("it holds a space, a control character or one beyond ASCII");
  if (rest.find_first_of("?#@") != std::string_view::npos)
    return bad("it has a query, a fragment or a user name");
  Url url;
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

bool is_loopback(std::string_view host) {
  if (iequals(host, "localhost")) return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(host), error);
  return !error && address.is_loopback();
}

}  // namespace weir::http
