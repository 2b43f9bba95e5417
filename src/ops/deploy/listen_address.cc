#include "ops/deploy/listen_address.h"

#include <algorithm>

#include "http/url.h"

namespace weir::ops {

bool is_loopback(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  while (true) {
    const size_t comma = std::min(host.find(','), host.size());
    std::string_view one = host.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    if (!one.ends_with(".sock") && !http::is_loopback(one)) return false;
    if (comma == host.size()) return true;
    host.remove_prefix(comma + 1);
  }
}

bool opens_port(std::string_view publish) {
  const size_t end = publish.starts_with('[') ? publish.find(']') + 1 : publish.find(':');
  return !is_loopback(publish.substr(0, end));
}

}  // namespace weir::ops
