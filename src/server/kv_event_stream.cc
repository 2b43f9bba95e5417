#include "server/kv_event_stream.h"

#include <charconv>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "api/replies.h"
#include "http/sse.h"
#include "server/kv_event_wire.h"

namespace weir::server {
namespace {

constexpr size_t kBatchesAtOnce = 64;  // copied out of the ring under its lock
constexpr std::chrono::milliseconds kKeepAlive{15'000};

// Of the query "from=N"; without a query `from` stays. False: something else stands there.
bool parse_from(std::string_view query, uint64_t& from) {
  constexpr std::string_view kName = "from=";
  if (query.empty()) return true;
  if (!query.starts_with(kName)) return false;
  query.remove_prefix(kName.size());
  const auto [end, error] = std::from_chars(query.data(), query.data() + query.size(), from);
  return error == std::errc() && end == query.data() + query.size();
}

}  // namespace

KvEventStream::KvEventStream(kv::CacheEvents& events) : events_(events) {
  events_.listen([this] { push(); });
}

KvEventStream::~KvEventStream() { events_.listen({}); }

void KvEventStream::handle(const http::Request& request, http::ResponseWriter writer) {
  const std::string id = writer.request_id();
  uint64_t next = events_.next_sequence();
  if (!parse_from(request.query, next)) {
    writer.send(api::error_response(param_error(ErrorCode::kInvalidValue, "from",
                                                "the query takes from=N, the number of a batch"),
                                    id));
    return;
  }
  MutexLock lock(mutex_);
  std::erase_if(subscribers_, [](const Subscriber& s) { return s.state->closed.load(); });
  if (subscribers_.size() >= kMaxSubscribers) {
    Error e = make_error(ErrorCode::kServerOverloaded, "{} subscribers follow the cache already",
                         kMaxSubscribers);
    e.retry_after_s = 1;
    writer.send(api::error_response(e, id));
    return;
  }
  http::Headers headers;
  headers.add("content-type", std::string(http::kSseContentType));
  headers.add("cache-control", "no-store");
  writer.begin_stream(200, std::move(headers));
  writer.keep_alive(kKeepAlive, std::string(http::kSseKeepAlive));
  auto state = std::make_shared<State>();
  writer.on_writable([this, state] {
    state->slow.store(false);
    resume(state.get());
  });
  subscribers_.push_back({std::move(writer), next, state});
  subscribers_.back().writer.on_closed([state](http::CloseReason) { state->closed.store(true); });
  push_to(subscribers_.back());
}

// Until nothing is left or the writer has enough: who is behind is slow, and on_writable goes on.
void KvEventStream::push_to(Subscriber& s) const {
  while (!s.state->closed.load() && !s.state->slow.load()) {
    const auto batches = events_.read(s.next, kBatchesAtOnce);
    if (batches.empty()) return;
    for (const auto& batch : batches) {
      std::string text = "id: " + std::to_string(batch->sequence) + "\n";
      http::append_sse_data(text, kv_events_json(*batch));
      s.next = batch->sequence + 1;
      // Set first: on_writable may come before write() returns.
      s.state->slow.store(true);
      if (s.writer.write(text) != http::WriteStatus::kOk) return;
      s.state->slow.store(false);
    }
  }
}

void KvEventStream::resume(const State* state) {
  MutexLock lock(mutex_);
  for (Subscriber& s : subscribers_) {
    if (s.state.get() == state) push_to(s);
  }
}

void KvEventStream::push() {
  MutexLock lock(mutex_);
  for (Subscriber& s : subscribers_) push_to(s);
}

}  // namespace weir::server
