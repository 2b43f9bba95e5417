// A Transport that speaks TLS over another one. Internal to http/.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "http/tls.h"
#include "http/tls_client.h"
#include "http/transport.h"

namespace weir::http {

// The handshake is part of the first read or write, so the connection's timeouts cover it. A client
// that speaks HTTP without TLS gets a plain 400 that says so. nullptr when memory is short. inner
// must call completions on the executor's thread.
std::unique_ptr<Transport> make_tls_transport(std::unique_ptr<Transport> inner,
                                              std::shared_ptr<TlsContext> context,
                                              const boost::asio::any_io_executor& executor);

// The client's side. The end of the stream (asio::error::eof) is one that the peer has said; a
// connection that just ends is another error, since anyone on the way can cause that.
class TlsClientTransport : public Transport {
 public:
  // Before the first read and write, which wait for it. After an error problem() tells, where it is
  // not the network's.
  virtual void handshake(Completion done) = 0;
};
std::unique_ptr<TlsClientTransport> make_tls_client_transport(
    std::unique_ptr<Transport> inner, const TlsClientContext& context, const std::string& host,
    const boost::asio::any_io_executor& executor);

}  // namespace weir::http
