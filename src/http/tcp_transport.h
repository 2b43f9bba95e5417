// A byte stream over TCP. Internal to http/.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <string_view>

#include "http/transport.h"

namespace weir::http {

class TcpTransport final : public Transport {
 public:
  explicit TcpTransport(boost::asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}
  void read_some(std::span<char> buffer, Completion done) override;
  void write_some(std::string_view data, Completion done) override;
  size_t try_write(std::string_view data) override;
  void shutdown_send() override;
  void close() override;
  std::string remote() const override;

 private:
  boost::asio::ip::tcp::socket socket_;
};

}  // namespace weir::http
