#include "gateway/route/gie.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "http/syntax.h"

namespace weir::gateway {

namespace {

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool parse_port(std::string_view text, uint16_t& port) {
  if (text.empty() || !http::is_digit(text[0]) || text[0] == '0') return false;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
  return ec == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::optional<IpPort> IpPort::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  IpPort out;
  if (colon == std::string_view::npos || !parse_port(text.substr(colon + 1), out.port))
    return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool v6 = host.starts_with('[') && host.ends_with(']') && host.size() > 2;
  if (v6) host = host.substr(1, host.size() - 2);
  const std::string copy(host);
  if (copy.find('\0') != std::string::npos) return std::nullopt;
  if (v6) {
    if (inet_pton(AF_INET6, copy.c_str(), out.ip.data()) != 1) return std::nullopt;
  } else {
    std::copy(kMapped.begin(), kMapped.end(), out.ip.begin());
    if (inet_pton(AF_INET, copy.c_str(), out.ip.data() + kMapped.size()) != 1) return std::nullopt;
  }
  return out;
}

std::string IpPort::text() const {
  char buffer[INET6_ADDRSTRLEN] = {};
  if (std::equal(kMapped.begin(), kMapped.end(), ip.begin())) {
    inet_ntop(AF_INET, ip.data() + kMapped.size(), buffer, sizeof(buffer));
    return fmt::format("{}:{}", buffer, port);
  }
  inet_ntop(AF_INET6, ip.data(), buffer, sizeof(buffer));
  return fmt::format("[{}]:{}", buffer, port);
}

void Destinations::add(const IpPort& address, uint32_t endpoint) {
  endpoints_.emplace(address, endpoint);
}

Result<std::vector<uint32_t>> Destinations::parse(std::string_view value) const {
  if (value.size() > kMaxBytes) {
    return param_error(ErrorCode::kLimit, kDestinationHeader, "{} bytes; at most {} are read",
                       value.size(), kMaxBytes);
  }
  std::vector<uint32_t> out;
  size_t named = 0;
  for (bool more = true; more; ++named) {
    const size_t comma = std::min(value.find(','), value.size());
    const std::string_view item = http::trim_blanks(value.substr(0, comma));
    more = comma < value.size();
    value.remove_prefix(more ? comma + 1 : comma);
    if (named == kMaxNamed) {
      return param_error(ErrorCode::kLimit, kDestinationHeader, "more than {} endpoints",
                         kMaxNamed);
    }
    const std::optional<IpPort> address = IpPort::parse(item);
    if (!address.has_value()) {
      return param_error(ErrorCode::kInvalidValue, kDestinationHeader,
                         "endpoint {} of the list is not ip:port", named + 1);
    }
    const auto [begin, end] = endpoints_.equal_range(*address);
    for (auto it = begin; it != end; ++it) {
      if (std::find(out.begin(), out.end(), it->second) == out.end()) out.push_back(it->second);
    }
  }
  if (out.empty()) {
    return param_error(ErrorCode::kInvalidValue, kDestinationHeader,
                       "none of the {} endpoints named is one of this gateway", named);
  }
  return out;
}

}  // namespace weir::gateway
