#include "gateway/state/redis_connection.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>

#include <chrono>
#include <utility>

namespace weir::gateway {
namespace {

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

}  // namespace

Result<RedisConnection> RedisConnection::open(const RedisAddress& address) {
  const timeval connect = of_ms(address.connect_ms);
  redisContext* raw = address.unix_path.empty()
                          ? redisConnectWithTimeout(address.host.c_str(), address.port, connect)
                          : redisConnectUnixWithTimeout(address.unix_path.c_str(), connect);
  RedisConnection connection(raw, address.call_ms);
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

RedisConnection::RedisConnection(RedisConnection&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)), call_ms_(other.call_ms_) {}
RedisConnection& RedisConnection::operator=(RedisConnection&& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(call_ms_, other.call_ms_);
  return *this;
}
RedisConnection::~RedisConnection() {
  if (context_ != nullptr) redisFree(context_);
}

Result<std::vector<RedisReply>> RedisConnection::call(
    const std::vector<std::vector<std::string>>& commands) {
  for (const std::vector<std::string>& words : commands) {
    std::vector<const char*> data;
    std::vector<size_t> sizes;
    data.reserve(words.size());
    sizes.reserve(words.size());
    for (const std::string& w : words) {
      data.push_back(w.data());
      sizes.push_back(w.size());
    }
    if (redisAppendCommandArgv(context_, static_cast<int>(words.size()), data.data(),
                               sizes.data()) != REDIS_OK)
      return make_error(ErrorCode::kIo, "{}", context_->errstr);
  }
  std::vector<RedisReply> out;
  out.reserve(commands.size());
  const auto by = std::chrono::steady_clock::now() + std::chrono::milliseconds(call_ms_);
  for (size_t i = 0; i < commands.size(); ++i) {
    void* raw = nullptr;
    if (redisGetReply(context_, &raw) != REDIS_OK || raw == nullptr)
      return make_error(ErrorCode::kIo, "{}", context_->errstr);
    auto* reply = static_cast<redisReply*>(raw);
    out.push_back(flat(*reply));
    freeReplyObject(reply);
    if (std::chrono::steady_clock::now() > by && i + 1 < commands.size())
      return make_error(ErrorCode::kIo, "{} of {} answers came within {} ms", i + 1,
                        commands.size(), call_ms_);
  }
  return out;
}

}  // namespace weir::gateway
