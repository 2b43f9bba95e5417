#include "server/kv_event_publisher.h"

#include <zmq.h>

#include <array>
#include <atomic>
#include <string_view>
#include <thread>
#include <utility>

#include "http/url.h"
#include "server/kv_event_wire.h"

namespace weir::server {
namespace {

constexpr int kPollMs = 10;  // how late a batch leaves, at most
constexpr size_t kBatchesAtOnce = 256;
constexpr int kHighWaterMark = 10'000;  // messages that wait for a subscriber

struct ContextDeleter {
  void operator()(void* context) const { zmq_ctx_term(context); }
};
struct SocketDeleter {
  void operator()(void* socket) const { zmq_close(socket); }
};
using Context = std::unique_ptr<void, ContextDeleter>;
using Socket = std::unique_ptr<void, SocketDeleter>;

Error zmq_error(std::string_view what, const std::string& address) {
  return make_error(
      ErrorCode::kIo,
      "cannot {} {}: {}; write tcp://ADDRESS:PORT or ipc://PATH, of this machine and free", what,
      address, zmq_strerror(zmq_errno()));
}

Result<Socket> bound(void* context, int type, const std::string& address) {
  Socket socket(zmq_socket(context, type));
  const int linger_ms = 0;
  if (socket == nullptr ||
      zmq_setsockopt(socket.get(), ZMQ_SNDHWM, &kHighWaterMark, sizeof kHighWaterMark) != 0 ||
      zmq_setsockopt(socket.get(), ZMQ_LINGER, &linger_ms, sizeof linger_ms) != 0 ||
      zmq_bind(socket.get(), address.c_str()) != 0)
    return zmq_error("publish cache events at", address);
  return socket;
}

std::array<char, 8> big_endian(uint64_t n) {
  std::array<char, 8> out;
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>((n >> (56 - 8 * i)) & 0xff);
  return out;
}

bool send(void* socket, std::string_view part, bool more) {
  const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
  return zmq_send(socket, part.data(), part.size(), flags) >= 0;
}

// The HOST of "tcp://HOST:PORT", without brackets; "": it is not of that form.
std::string_view tcp_host(std::string_view address) {
  constexpr std::string_view kScheme = "tcp://";
  if (!address.starts_with(kScheme)) return {};
  address.remove_prefix(kScheme.size());
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == address.size()) return {};
  std::string_view host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

Status check_address(const char* key, std::string_view address, bool remote) {
  constexpr std::string_view kIpc = "ipc://";
  if (address.starts_with(kIpc) && address.size() > kIpc.size()) return {};
  const std::string_view host = tcp_host(address);
  if (host.empty())
    return make_error(ErrorCode::kUsage,
                      "{} is \"{}\"; it must be tcp://HOST:PORT, as in tcp://127.0.0.1:5557, or "
                      "ipc://PATH",
                      key, address);
  if (remote || http::is_loopback(host)) return {};
  return make_error(
      ErrorCode::kUsage,
      "{} is \"{}\", which other machines can reach: whoever does reads the tokens of "
      "prompts without a key; take an address of 127.0.0.1, or give "
      "--kv-events-remote if something in front checks who connects",
      key, address);
}

}  // namespace

Status check_addresses(const KvEventAddresses& a) {
  if (!a.publish.empty()) WEIR_TRY(check_address("kv.events_zmq", a.publish, a.remote));
  if (a.replay.empty()) return {};
  if (a.publish.empty())
    return make_error(
        ErrorCode::kUsage,
        "kv.events_zmq_replay repeats what kv.events_zmq publishes: give that address "
        "too (--kv-events-zmq)");
  return check_address("kv.events_zmq_replay", a.replay, a.remote);
}

class KvEventPublisher::Impl {
 public:
  Impl(const kv::CacheEvents& events, int32_t page_tokens, std::string topic)
      : events_(events), page_tokens_(page_tokens), topic_(std::move(topic)) {}

  ~Impl() {
    stopping_.store(true);
    if (thread_.joinable()) thread_.join();
  }

  Status start(const KvEventAddresses& addresses) {
    context_.reset(zmq_ctx_new());
    if (context_ == nullptr) return zmq_error("make sockets for", addresses.publish);
    WEIR_ASSIGN(publish_, bound(context_.get(), ZMQ_PUB, addresses.publish));
    if (!addresses.replay.empty()) {
      WEIR_ASSIGN(replay_, bound(context_.get(), ZMQ_ROUTER, addresses.replay));
    }
    thread_ = std::thread([this] { run(); });
    return {};
  }

 private:
  void run() {
    uint64_t next = 0;
    while (!stopping_.load()) {
      zmq_pollitem_t item{replay_.get(), 0, ZMQ_POLLIN, 0};
      if (zmq_poll(&item, replay_ == nullptr ? 0 : 1, kPollMs) > 0) answer_replay();
      for (const auto& batch : events_.read(next, kBatchesAtOnce)) {
        const auto number = big_endian(batch->sequence);
        if (send(publish_.get(), topic_, true) &&
            send(publish_.get(), {number.data(), number.size()}, true))
          send(publish_.get(), kv_events_vllm(*batch, page_tokens_), false);
        next = batch->sequence + 1;
      }
    }
  }

  // [identity, "", sequence] → for each batch [identity, "", sequence, payload]; then the end.
  void answer_replay() {
    std::array<std::string, 3> parts;
    size_t count = 0;
    int more = 1;
    while (more != 0) {
      zmq_msg_t message;
      zmq_msg_init(&message);
      if (zmq_msg_recv(&message, replay_.get(), ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&message);
        return;
      }
      if (count < parts.size())
        parts[count].assign(static_cast<const char*>(zmq_msg_data(&message)),
                            zmq_msg_size(&message));
      ++count;
      more = zmq_msg_more(&message);
      zmq_msg_close(&message);
    }
    if (count != 3 || parts[2].size() != 8) return;  // nothing of ours
    uint64_t from = 0;
    for (const char c : parts[2]) from = (from << 8) | static_cast<uint8_t>(c);
    for (const auto& batch : events_.read(from, kv::CacheEvents::kMaxKeptEvents)) {
      if (batch->sequence >= from)
        reply(parts[0], batch->sequence, kv_events_vllm(*batch, page_tokens_));
    }
    reply(parts[0], ~uint64_t{0}, "");
  }

  void reply(const std::string& to, uint64_t sequence, const std::string& payload) {
    const auto number = big_endian(sequence);
    if (send(replay_.get(), to, true) && send(replay_.get(), "", true) &&
        send(replay_.get(), {number.data(), number.size()}, true))
      send(replay_.get(), payload, false);
  }

  const kv::CacheEvents& events_;
  const int32_t page_tokens_;
  const std::string topic_;
  Context context_;  // before the sockets, which close first
  Socket publish_;
  Socket replay_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

KvEventPublisher::KvEventPublisher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KvEventPublisher::~KvEventPublisher() = default;

Result<std::unique_ptr<KvEventPublisher>> KvEventPublisher::start(const KvEventAddresses& addresses,
                                                                  const kv::CacheEvents& events,
                                                                  int32_t page_tokens) {
  auto impl = std::make_unique<Impl>(events, page_tokens, addresses.topic);
  WEIR_TRY(impl->start(addresses));
  return std::unique_ptr<KvEventPublisher>(new KvEventPublisher(std::move(impl)));
}

}  // namespace weir::server
