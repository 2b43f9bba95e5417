#include "http/test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <utility>

namespace weir::http {

TestClient::TestClient(uint16_t port, int receive_buffer_bytes) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return;
  if (receive_buffer_bytes > 0) {
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close();
    return;
  }
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  set_timeout(std::chrono::seconds(20));
}

TestClient::~TestClient() { close(); }
TestClient::TestClient(TestClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}
TestClient& TestClient::operator=(TestClient&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

void TestClient::set_timeout(std::chrono::milliseconds timeout) {
  timeval value{};
  value.tv_sec = timeout.count() / 1000;
  value.tv_usec = timeout.count() % 1000 * 1000;
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof(value));
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof(value));
}

bool TestClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void TestClient::shutdown_send() { ::shutdown(fd_, SHUT_WR); }

void TestClient::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void TestClient::reset() {
  const linger value{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &value, sizeof(value));
  close();
}

bool TestClient::fill() {
  const std::string bytes = receive();
  buffer_ += bytes;
  return !bytes.empty();
}

std::string TestClient::receive(size_t max) {
  std::string bytes(max, '\0');
  const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
  bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return bytes;
}

std::string TestClient::receive_all() {
  while (fill()) {
  }
  return std::exchange(buffer_, {});
}

bool TestClient::wait_closed() {
  char bytes[4096];
  ssize_t n = 0;
  while ((n = ::recv(fd_, bytes, sizeof(bytes), 0)) > 0) {
  }
  return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

std::optional<std::string> TestClient::read_line() {
  size_t end = 0;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (!fill()) return std::nullopt;
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

std::optional<std::string> TestClient::read_exactly(size_t bytes) {
  while (buffer_.size() < bytes) {
    if (!fill()) return std::nullopt;
  }
  std::string out = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return out;
}

std::optional<Response> TestClient::read_head() {
  const auto start = read_line();
  if (!start || start->size() < 12 || start->substr(0, 9) != "HTTP/1.1 ") return std::nullopt;
  Response response;
  std::from_chars(start->data() + 9, start->data() + 12, response.status);
  while (true) {
    const auto line = read_line();
    if (!line) return std::nullopt;
    if (line->empty()) return response;
    const size_t colon = line->find(": ");
    if (colon == std::string::npos) return std::nullopt;
    response.headers.add(line->substr(0, colon), line->substr(colon + 2));
  }
}

std::optional<std::string> TestClient::read_chunk() {
  const auto line = read_line();
  if (!line || line->empty()) return std::nullopt;
  const size_t size = std::strtoull(line->c_str(), nullptr, 16);
  auto data = read_exactly(size + 2);
  if (!data) return std::nullopt;
  data->resize(size);
  return data;
}

std::optional<Response> TestClient::read_response(bool without_body) {
  auto response = read_head();
  if (!response || without_body || response->status == 204 || response->status == 304 ||
      response->status < 200) {
    return response;
  }
  if (response->headers.has_token("transfer-encoding", "chunked")) {
    while (true) {
      const auto chunk = read_chunk();
      if (!chunk) return std::nullopt;
      if (chunk->empty()) return response;
      response->body += *chunk;
    }
  }
  if (const auto length = response->headers.find("content-length")) {
    auto body = read_exactly(std::strtoull(std::string(*length).c_str(), nullptr, 10));
    if (!body) return std::nullopt;
    response->body = std::move(*body);
    return response;
  }
  response->body = receive_all();
  return response;
}

std::optional<Response> TestClient::exchange(std::string_view request) {
  if (!send(request)) return std::nullopt;
  return read_response();
}

}  // namespace weir::http
