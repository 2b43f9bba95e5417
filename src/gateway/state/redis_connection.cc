#include "gateway/state/redis_connection.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

namespace weir::gateway {
namespace {

constexpr size_t kReadBytes = 16 * 1024;  // as a TLS record has at most
// Of the answers to one call; those to a full pipeline of quotas have some 100 KB.
constexpr size_t kMaxAnswerBytes = 16 << 20;

timeval of_ms(int32_t ms) { return {ms / 1000, (ms % 1000) * 1000}; }

std::string where(const RedisAddress& a) {
  return a.unix_path.empty() ? fmt::format("{}:{}", a.host, a.port) : a.unix_path;
}

std::string text_of(const redisReply& r) {
  if (r.type == REDIS_REPLY_INTEGER) return fmt::format("{}", r.integer);
  return r.str == nullptr ? "" : std::string(r.str, r.len);
}

RedisReply flat(const redisReply& r) {
  RedisReply out;
  out.error = r.type == REDIS_REPLY_ERROR;
  if (r.type != REDIS_REPLY_ARRAY) {
    out.texts.push_back(text_of(r));
    return out;
  }
  out.texts.reserve(r.elements);
  for (size_t i = 0; i < r.elements; ++i) out.texts.push_back(text_of(*r.element[i]));
  return out;
}

// As the protocol has it, behind `out`.
Status append(const std::vector<std::string>& words, std::string& out) {
  std::vector<const char*> data;
  std::vector<size_t> sizes;
  data.reserve(words.size());
  sizes.reserve(words.size());
  for (const std::string& w : words) {
    data.push_back(w.data());
    sizes.push_back(w.size());
  }
  char* command = nullptr;
  const int size =
      redisFormatCommandArgv(&command, static_cast<int>(words.size()), data.data(), sizes.data());
  if (size < 0) return make_error(ErrorCode::kIo, "no memory for a command");
  out.append(command, static_cast<size_t>(size));
  redisFreeCommand(command);
  return {};
}

}  // namespace

// Blocking, with the socket's timeout for each read and write.
struct RedisConnection::Transport {
  explicit Transport(redisContext* c) : context(c, redisFree), ssl(nullptr, SSL_free) {}

  Status begin_tls(const http::TlsClientContext& tls, const std::string& host) {
    ssl.reset(tls.new_session(host, peer));
    if (!ssl || SSL_set_fd(ssl.get(), context->fd) != 1)
      return make_error(ErrorCode::kIo, "TLS: no memory");
    http::openssl_reason();  // of before
    if (SSL_connect(ssl.get()) == 1) return {};
    return make_error(ErrorCode::kIo, "TLS: {}",
                      peer.problem.empty() ? http::openssl_reason() : peer.problem);
  }

  Status write(std::string_view bytes) {
    while (!bytes.empty()) {
      errno = 0;
      const size_t most = std::min<size_t>(bytes.size(), std::numeric_limits<int>::max());
      const auto n = ssl ? SSL_write(ssl.get(), bytes.data(), static_cast<int>(most))
                         : ::send(context->fd, bytes.data(), most, MSG_NOSIGNAL);
      if (n <= 0) return failed("sent");
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return {};
  }

  // What there is, at least a byte, to hiredis.
  Status read() {
    std::array<char, kReadBytes> buffer;  // NOLINT(*-member-init): read before it is looked at
    errno = 0;
    const auto n = ssl ? SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size()))
                       : ::recv(context->fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) return failed("received");
    answered += static_cast<size_t>(n);
    if (answered > kMaxAnswerBytes)
      return make_error(ErrorCode::kIo, "answers of more than {} bytes", kMaxAnswerBytes);
    if (redisReaderFeed(context->reader, buffer.data(), static_cast<size_t>(n)) == REDIS_OK)
      return {};
    return make_error(ErrorCode::kIo, "{}", context->reader->errstr);
  }

  static Status failed(std::string_view what) {
    const int why = errno;
    http::openssl_reason();  // its queue is empty for the next
    return make_error(ErrorCode::kIo, "nothing could be {}: {}", what,
                      why == 0 ? "the connection was closed" : std::strerror(why));
  }

  std::unique_ptr<redisContext, void (*)(redisContext*)> context;
  size_t answered = 0;  // bytes, to the present call
  http::TlsPeer peer;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl;  // null: plain. Goes before the socket and the peer
};

Result<RedisConnection> RedisConnection::open(const RedisAddress& address) {
  const timeval connect = of_ms(address.connect_ms);
  redisContext* raw = address.unix_path.empty()
                          ? redisConnectWithTimeout(address.host.c_str(), address.port, connect)
                          : redisConnectUnixWithTimeout(address.unix_path.c_str(), connect);
  RedisConnection connection(std::make_unique<Transport>(raw), address.call_ms);
  if (raw == nullptr || raw->err != 0) {
    return make_error(ErrorCode::kIo, "cannot connect to Redis at {}: {}", where(address),
                      raw == nullptr ? "no memory" : raw->errstr);
  }
  if (redisSetTimeout(raw, of_ms(address.call_ms)) != REDIS_OK)
    return make_error(ErrorCode::kIo, "Redis at {}: {}", where(address), raw->errstr);
  const Status ready = connection.set_up(address);
  if (!ready.ok()) return ready.error().with_context(fmt::format("Redis at {}", where(address)));
  return connection;
}

Status RedisConnection::set_up(const RedisAddress& address) {
  if (address.tls) WEIR_TRY(transport_->begin_tls(*address.tls, address.host));
  std::vector<std::vector<std::string>> commands;
  if (!address.password.empty()) {
    commands.push_back({"AUTH"});
    if (!address.username.empty()) commands.back().push_back(address.username);
    commands.back().push_back(address.password);
  }
  if (address.database != 0) commands.push_back({"SELECT", fmt::format("{}", address.database)});
  WEIR_ASSIGN(const auto replies, call(commands));
  for (const RedisReply& r : replies) {
    if (r.error) return make_error(ErrorCode::kIo, "{}", r.texts[0]);
  }
  return {};
}

RedisConnection::RedisConnection(std::unique_ptr<Transport> transport, int32_t call_ms)
    : transport_(std::move(transport)), call_ms_(call_ms) {}
RedisConnection::RedisConnection(RedisConnection&& other) noexcept = default;
RedisConnection& RedisConnection::operator=(RedisConnection&& other) noexcept = default;
RedisConnection::~RedisConnection() = default;

bool RedisConnection::is_stale() const {
  pollfd fd{transport_->context->fd, POLLIN, 0};
  return ::poll(&fd, 1, 0) != 0;
}

Result<std::vector<RedisReply>> RedisConnection::call(
    const std::vector<std::vector<std::string>>& commands) {
  std::string bytes;
  for (const std::vector<std::string>& words : commands) WEIR_TRY(append(words, bytes));
  transport_->answered = 0;
  WEIR_TRY(transport_->write(bytes));
  std::vector<RedisReply> out;
  out.reserve(commands.size());
  const auto by = std::chrono::steady_clock::now() + std::chrono::milliseconds(call_ms_);
  redisReader* reader = transport_->context->reader;
  while (out.size() < commands.size()) {
    void* raw = nullptr;
    if (redisReaderGetReply(reader, &raw) != REDIS_OK)
      return make_error(ErrorCode::kIo, "{}", reader->errstr);
    if (raw != nullptr) {
      auto* reply = static_cast<redisReply*>(raw);
      out.push_back(flat(*reply));
      freeReplyObject(reply);
      continue;
    }
    if (std::chrono::steady_clock::now() > by)
      return make_error(ErrorCode::kIo, "{} of {} answers came within {} ms", out.size(),
                        commands.size(), call_ms_);
    WEIR_TRY(transport_->read());
  }
  return out;
}

}  // namespace weir::gateway
