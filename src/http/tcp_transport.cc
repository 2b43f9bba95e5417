#include "http/tcp_transport.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>

namespace weir::http {

using boost::asio::ip::tcp;
using boost::system::error_code;

void TcpTransport::read_some(std::span<char> buffer, Completion done) {
  socket_.async_read_some(
      boost::asio::buffer(buffer.data(), buffer.size()),
      [done = std::move(done)](const error_code& error, size_t bytes) { done(error, bytes); });
}

void TcpTransport::write_some(std::string_view data, Completion done) {
  socket_.async_write_some(
      boost::asio::buffer(data.data(), data.size()),
      [done = std::move(done)](const error_code& error, size_t bytes) { done(error, bytes); });
}

size_t TcpTransport::try_write(std::string_view data) {
  const ssize_t sent =
      ::send(socket_.native_handle(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent > 0 ? static_cast<size_t>(sent) : 0;
}

void TcpTransport::shutdown_send() {
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void TcpTransport::close() {
  error_code ignored;
  socket_.close(ignored);
}

std::string TcpTransport::remote() const {
  error_code error;
  const auto endpoint = socket_.remote_endpoint(error);
  if (error) return "unknown";
  const std::string address = endpoint.address().to_string(error);
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

}  // namespace weir::http
