#include "bench/mock/mock_server.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <utility>

#include "base/rng.h"
#include "bench/mock/mock_request.h"
#include "http/router.h"
#include "http/server.h"
#include "http/sse.h"
#include "text/json.h"

namespace weir::bench {
namespace {

constexpr std::chrono::milliseconds kCutAfter{5};

http::Response error_response(int status, const Error& error, std::string_view) {
  http::Response r = http::json_response(
      status,
      fmt::format(R"({{"error":{{"message":{},"type":"mock_error","param":{},"code":"{}"}}}})",
                  text::json_quote(error.message),
                  error.param.empty() ? "null" : text::json_quote(error.param),
                  error_code_name(error.code)));
  if (error.retry_after_s > 0)
    r.headers.set("Retry-After", std::to_string(static_cast<int>(std::ceil(error.retry_after_s))));
  return r;
}

void refuse(http::ResponseWriter& writer, int status, const Error& error) {
  writer.send(error_response(status, error, {}));
}

// A request that is being answered, or waits for a slot.
struct Answer {
  MockRequest request;
  http::ResponseWriter writer;
  std::string id;
  uint64_t number = 0;
  int64_t arrived_ns = 0;
  int64_t next_ns = 0;  // when the next token is due
  int32_t sent = 0;     // tokens
  int32_t cut_at = -1;  // tokens after which the stream breaks; -1: never
};

}  // namespace

// Everything runs on the server's I/O thread.
struct MockServer::Impl {
  Impl(MockOptions o, const Clock& c) : options(std::move(o)), clock(c), router(error_response) {}

  MockOptions options;
  const Clock& clock;
  http::Router router;
  uint64_t requests = 0;
  int32_t running = 0;
  std::deque<std::shared_ptr<Answer>> waiting;
  std::atomic<http::Server*> server = nullptr;  // set once it runs; requests before are refused
  std::unique_ptr<http::Server> owned;          // last: stops before what it uses goes away

  void add_routes();
  void generate(const http::Request& request, http::ResponseWriter writer, bool chat);
  // Whether the request fails at once, by the shares of the options.
  bool fails(uint64_t number, http::ResponseWriter& writer) const;
  int64_t varied_ns(double ms, uint64_t number, uint64_t draw) const;
  void begin(const std::shared_ptr<Answer>& answer);
  void step(const std::shared_ptr<Answer>& answer);
  void cut(const std::shared_ptr<Answer>& answer);
  void finish(Answer& answer);
  void free_slot();
  void later(int64_t when_ns, const std::shared_ptr<Answer>& answer);
};

void MockServer::Impl::add_routes() {
  router.add("POST", "/v1/completions", [this](const http::Request& r, http::ResponseWriter w) {
    generate(r, std::move(w), false);
  });
  router.add(
      "POST", "/v1/chat/completions",
      [this](const http::Request& r, http::ResponseWriter w) { generate(r, std::move(w), true); });
  router.add("POST", "/tokenize", [](const http::Request& r, http::ResponseWriter w) {
    const Result<int32_t> words = parse_mock_tokenize(r.body);
    if (!words.ok()) return refuse(w, 400, words.error());
    w.send(http::json_response(200, fmt::format(R"({{"count":{}}})", *words)));
  });
  router.add("GET", "/v1/models", [this](const http::Request&, http::ResponseWriter w) {
    w.send(http::json_response(
        200, fmt::format(R"({{"object":"list","data":[{{"id":{},"object":"model"}}]}})",
                         text::json_quote(options.model))));
  });
  router.add("GET", "/health", [](const http::Request&, http::ResponseWriter w) {
    w.send(http::json_response(200, R"({"status":"ok"})"));
  });
}

bool MockServer::Impl::fails(uint64_t number, http::ResponseWriter& writer) const {
  const double u = random_unit(options.seed, 0, number);
  if (u < options.error_rate) {
    refuse(writer, 500, make_error(ErrorCode::kInternal, "an error that --error-rate asks for"));
    return true;
  }
  if (u >= options.error_rate + options.reject_rate) return false;
  Error full = make_error(ErrorCode::kServerOverloaded, "a refusal that --reject-rate asks for");
  full.retry_after_s = 1;
  refuse(writer, 503, full);
  return true;
}

int64_t MockServer::Impl::varied_ns(double ms, uint64_t number, uint64_t draw) const {
  const double u = options.jitter > 0 ? random_unit(options.seed, number, draw) * 2 - 1 : 0;
  return static_cast<int64_t>(ms * (1 + options.jitter * u) * 1e6);
}

void MockServer::Impl::generate(const http::Request& request, http::ResponseWriter writer,
                                bool chat) {
  const uint64_t number = ++requests;
  if (server.load() == nullptr)
    return refuse(writer, 503, make_error(ErrorCode::kServerOverloaded, "the server is starting"));
  Result<MockRequest> parsed = parse_mock_request(request.body, chat);
  if (!parsed.ok()) return refuse(writer, 400, parsed.error());
  if (parsed->model.empty()) parsed->model = options.model;
  if (fails(number, writer)) return;
  // shared: timers hold it one after the other, and std::function wants copies.
  auto answer = std::make_shared<Answer>(Answer{
      std::move(*parsed), std::move(writer),
      fmt::format("{}-{}", chat ? "chatcmpl" : "cmpl", number), number, request.received_ns});
  if (random_unit(options.seed, 1, number) < options.cut_rate)
    answer->cut_at = answer->request.output_tokens / 2;
  if (options.slots == 0 || running < options.slots) {
    ++running;
    return begin(answer);
  }
  if (waiting.size() >= static_cast<size_t>(options.max_waiting)) {
    Error full =
        make_error(ErrorCode::kServerOverloaded, "{} requests wait (max_waiting)", waiting.size());
    full.retry_after_s = 1;
    return refuse(answer->writer, 503, full);
  }
  waiting.push_back(std::move(answer));
}

void MockServer::Impl::begin(const std::shared_ptr<Answer>& answer) {
  const int64_t now = clock.now_ns();
  answer->writer.on_closed([](http::CloseReason) {});
  answer->next_ns = now + varied_ns(options.ttft_ms, answer->number, 1 << 20);
  const double queue_ms = static_cast<double>(now - answer->arrived_ns) * 1e-6;
  http::Headers headers{{"server-timing", fmt::format("queue;dur={:.3f}", queue_ms)}};
  if (answer->request.stream) {
    headers.add("content-type", http::kSseContentType);
    answer->writer.begin_stream(200, headers);
  } else {
    for (int32_t i = 1; i < answer->request.output_tokens && options.itl_ms > 0; ++i)
      answer->next_ns += varied_ns(options.itl_ms, answer->number, static_cast<uint64_t>(i));
  }
  if (answer->next_ns <= now) return step(answer);
  later(answer->next_ns, answer);
}

void MockServer::Impl::later(int64_t when_ns, const std::shared_ptr<Answer>& answer) {
  server.load()->post_after(
      std::chrono::nanoseconds(std::max<int64_t>(0, when_ns - clock.now_ns())),
      [this, answer] { step(answer); });
}

// Sends what is due; a timer that came late does not delay what follows.
void MockServer::Impl::step(const std::shared_ptr<Answer>& answer) {
  Answer& a = *answer;
  if (a.writer.closed()) return free_slot();
  if (!a.request.stream) return finish(a);
  const std::string event = mock_token_event(a.request, a.id);
  std::string out;
  const int64_t now = clock.now_ns();
  while (a.sent < a.request.output_tokens && a.next_ns <= now) {
    if (a.sent == a.cut_at) {
      a.writer.write(out);
      return cut(answer);
    }
    out += event;
    ++a.sent;
    a.next_ns += varied_ns(options.itl_ms, a.number, static_cast<uint64_t>(a.sent));
  }
  if (a.sent < a.request.output_tokens) {
    a.writer.write(out);
    return later(a.next_ns, answer);
  }
  out += mock_finish_event(a.request, a.id);
  if (a.request.include_usage) out += mock_usage_event(a.request, a.id);
  out += http::kSseDone;
  a.writer.write(out);
  finish(a);
}

// Breaks the stream once what was written is out: an abort at once would drop that too.
void MockServer::Impl::cut(const std::shared_ptr<Answer>& answer) {
  server.load()->post_after(kCutAfter, [this, answer] {
    answer->writer.abort();
    free_slot();
  });
}

void MockServer::Impl::finish(Answer& a) {
  if (a.request.stream) {
    a.writer.finish();
  } else if (a.cut_at >= 0) {
    a.writer.abort();
  } else {
    a.writer.send(http::json_response(200, mock_answer(a.request, a.id)));
  }
  free_slot();
}

// Hands the slot on; by a post, so that a long queue of short answers does not nest.
void MockServer::Impl::free_slot() {
  if (waiting.empty()) {
    --running;
    return;
  }
  server.load()->post([this, next = std::move(waiting.front())] { begin(next); });
  waiting.pop_front();
}

MockServer::MockServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MockServer::~MockServer() { impl_->owned->stop(); }
uint16_t MockServer::port() const { return impl_->owned->port(); }

Result<std::unique_ptr<MockServer>> MockServer::start(MockOptions options, const Clock& clock) {
  auto impl = std::make_unique<Impl>(std::move(options), clock);
  impl->add_routes();
  http::ServerOptions http;
  http.host = impl->options.host;
  http.port = impl->options.port;
  http.limits.max_connections = impl->options.max_connections;
  // A client that reads slowly is not what is measured; a stream of a million tokens fits.
  http.limits.write_buffer_bytes = size_t{64} << 20;
  WEIR_ASSIGN(impl->owned, http::Server::start(
                               http,
                               [raw = impl.get()](http::Request r, http::ResponseWriter w) {
                                 raw->router.handle(std::move(r), std::move(w));
                               },
                               error_response, clock));
  impl->server = impl->owned.get();
  return std::unique_ptr<MockServer>(new MockServer(std::move(impl)));
}

}  // namespace weir::bench
