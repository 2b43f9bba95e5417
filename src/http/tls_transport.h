// A Transport that speaks TLS over another one. Internal to http/.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "http/tls.h"
#include "http/transport.h"

namespace weir::http {

// The handshake is part of the first read or write, so the connection's timeouts cover it. A client
// that speaks HTTP without TLS gets a plain 400 that says so. nullptr when memory is short. inner
// must call completions on the executor's thread.
std::unique_ptr<Transport> make_tls_transport(std::unique_ptr<Transport> inner,
                                              std::shared_ptr<TlsContext> context,
                                              const boost::asio::any_io_executor& executor);

}  // namespace weir::http
