// A connection to Redis, plain or with TLS, that sends commands together and bounds its waiting.
// hiredis connects and knows the protocol; bytes are moved here. Internal to gateway/.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/tls_client.h"

struct redisContext;

namespace weir::gateway {

struct RedisAddress {
  std::string unix_path;  // a socket; else host and port
  std::string host = "127.0.0.1";
  int32_t port = 6379;
  std::string username, password;  // empty: none; read from a file by the caller, never logged
  int32_t database = 0;
  int32_t connect_ms = 200;
  int32_t call_ms = 200;  // for the answers to one write, and for the write
  // Whom TLS believes; null: no TLS. Shared by connections.
  std::shared_ptr<const http::TlsClientContext> tls;
};

// What Redis answers, flat: integers and texts of an array as texts; nested arrays are not used.
struct RedisReply {
  bool error = false;  // then texts[0] says which
  std::vector<std::string> texts;
};

// One thread.
class RedisConnection {
 public:
  // Blocks for at most connect_ms, and call_ms for each command that sets it up and each of the
  // three flights of a TLS handshake. Errors: kIo; the address is in the message, the password is
  // not.
  static Result<RedisConnection> open(const RedisAddress& address);
  RedisConnection(RedisConnection&& other) noexcept;
  RedisConnection& operator=(RedisConnection&& other) noexcept;
  ~RedisConnection();

  // Sends all commands at once and reads as many answers, in order; blocks for at most 2 x call_ms
  // after they are sent. Error kIo: the connection is of no more use, and whether the commands were
  // done is not known.
  Result<std::vector<RedisReply>> call(const std::vector<std::vector<std::string>>& commands);

  // Redis has closed it, or said something that nobody asked for: of no more use. Does not block.
  bool is_stale() const;

 private:
  struct Transport;  // the socket, and TLS over it
  explicit RedisConnection(std::unique_ptr<Transport> transport, int32_t call_ms);
  Status set_up(const RedisAddress& address);
  std::unique_ptr<Transport> transport_;
  int32_t call_ms_;
};

}  // namespace weir::gateway
