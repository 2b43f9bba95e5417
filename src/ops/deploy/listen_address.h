// Who reaches an address that a server listens on. Pure. Any thread.
#pragma once

#include <string_view>

namespace weir::ops {

// Whether `host` (a name, an address, "[::1]", or several with commas between them) is reached from
// this machine alone: localhost, 127.0.0.0/8, ::1, a Unix socket (it ends with ".sock"). What is
// not known here ("$HOST") and no host at all are not.
bool is_loopback(std::string_view host);

// "8000:8000" opens a port beyond this machine, "127.0.0.1:8000:8000" does not: as docker run -p
// and Compose write it.
bool opens_port(std::string_view publish);

}  // namespace weir::ops
