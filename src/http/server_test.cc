#include "http/server.h"

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <stdexcept>

#include "http/metrics_observer.h"
#include "http/router.h"
#include "http/server_test_util.h"
#include "http/sse.h"

namespace weir::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(ServerTest, AnswersAndKeepsTheConnection) {
  start_echo();
  TestClient c = client();
  for (int i = 0; i < 3; ++i) {
    const auto response = c.exchange(post("/x", "body" + std::to_string(i)));
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "POST /x body" + std::to_string(i));
    EXPECT_EQ(response->headers.find("connection"), "keep-alive");
    EXPECT_THAT(std::string(*response->headers.find("date")), HasSubstr(" GMT"));
  }
  EXPECT_EQ(observer.count("opened"), 1);
  EXPECT_TRUE(eventually([&] { return observer.count("200") == 3; }));
}

TEST_F(ServerTest, ConnectionCloseAndHttp10) {
  start_echo();
  for (const std::string& request :
       {get("/", "Connection: close\r\n"), std::string("GET / HTTP/1.0\r\n\r\n")}) {
    TestClient c = client();
    const auto response = c.exchange(request);
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->headers.find("connection"), "close");
    EXPECT_TRUE(c.wait_closed());
  }
  TestClient kept = client();
  ASSERT_TRUE(kept.exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").has_value());
  EXPECT_TRUE(kept.exchange("GET / HTTP/1.0\r\n\r\n").has_value());
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  // Answers from another thread, the first one last if it could be.
  std::vector<std::thread> threads;
  start([&](Request request, ResponseWriter writer) {
    threads.emplace_back([path = request.path, w = std::move(writer)]() mutable {
      std::this_thread::sleep_for(path == "/0" ? 30ms : 1ms);
      w.send({200, {}, path});
    });
  });
  TestClient c = client();
  std::string all;
  for (int i = 0; i < 20; ++i) all += get("/" + std::to_string(i));
  c.send(all);
  for (int i = 0; i < 20; ++i) {
    const auto response = c.read_response();
    ASSERT_TRUE(response.has_value()) << i;
    EXPECT_EQ(response->body, "/" + std::to_string(i));
  }
  server_->stop();
  for (auto& thread : threads) thread.join();
}

TEST_F(ServerTest, ByteAtATime) {
  start_echo();
  TestClient c = client();
  for (const char byte : post("/slow", "abc")) ASSERT_TRUE(c.send(std::string_view(&byte, 1)));
  const auto response = c.read_response();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->body, "POST /slow abc");
}

TEST_F(ServerTest, CutAtEveryByteThenClosed) {
  std::atomic<int> handled = 0;
  start([&](Request, ResponseWriter writer) {
    ++handled;
    writer.send({200, {}, "ok"});
  });
  const std::string request =
      "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (size_t cut = 0; cut < request.size(); ++cut) {
    TestClient c = client();
    c.send(std::string_view(request).substr(0, cut));
    if (cut % 2 == 0) {
      c.shutdown_send();
      EXPECT_EQ(c.receive_all(), "") << cut;
    } else {
      c.reset();
    }
  }
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
  EXPECT_EQ(handled, 0);
  EXPECT_TRUE(client().exchange(request).has_value());
}

TEST_F(ServerTest, HeadHasNoBody) {
  start_echo();
  TestClient c = client();
  c.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto head = c.read_response(true);
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->headers.find("content-length"), "8");
  EXPECT_EQ(c.exchange(get("/y"))->body, "GET /y ");  // nothing of a body lies in between
}

TEST_F(ServerTest, StreamsInChunks) {
  start([](Request, ResponseWriter writer) {
    writer.begin_stream(200, {{"content-type", std::string(kSseContentType)}});
    std::thread([w = std::move(writer)]() mutable {
      for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(w.write(sse_data(std::to_string(i))), WriteStatus::kOk);
        std::this_thread::sleep_for(2ms);
      }
      w.write(kSseDone);
      w.finish();
    }).detach();
  });
  TestClient c = client();
  const auto response = c.exchange(get("/"));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->headers.find("transfer-encoding"), "chunked");
  EXPECT_FALSE(response->headers.contains("content-length"));
  EXPECT_EQ(response->body,
            "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\ndata: [DONE]\n\n");
  EXPECT_TRUE(c.exchange(get("/")).has_value());  // the connection goes on
  const auto old = client().exchange("GET / HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(old.has_value());
  EXPECT_FALSE(old->headers.contains("transfer-encoding"));
  EXPECT_THAT(old->body, StartsWith("data: 0\n\n"));
}

TEST_F(ServerTest, WritesOfOneWakeUpAreOneChunk) {
  start([](Request, ResponseWriter writer) {
    writer.begin_stream(200, {});
    writer.write("a");
    writer.write("b");
    writer.write("c");
    writer.finish();
  });
  TestClient c = client();
  c.send(get("/"));
  ASSERT_TRUE(c.read_head().has_value());
  EXPECT_EQ(c.read_chunk(), "abc");
  EXPECT_EQ(c.read_chunk(), "");
}

TEST_F(ServerTest, KeepAliveCommentsFillSilence) {
  std::optional<ResponseWriter> held;
  start([&](Request, ResponseWriter writer) {
    writer.begin_stream(200, {});
    writer.keep_alive(20ms, std::string(kSseKeepAlive));
    held.emplace(std::move(writer));
  });
  TestClient c = client();
  c.send(get("/"));
  ASSERT_TRUE(c.read_head().has_value());
  EXPECT_EQ(c.read_chunk(), kSseKeepAlive);
  EXPECT_EQ(c.read_chunk(), kSseKeepAlive);
  server_->stop();
}

TEST_F(ServerTest, AHeldHeadGoesOutWithTheFirstKeepAlive) {
  std::optional<ResponseWriter> held;
  std::atomic<bool> ready = false;
  start([&](Request, ResponseWriter writer) {
    writer.hold_head(200, {{"x-held", "yes"}});
    writer.keep_alive(20ms, std::string(kSseKeepAlive));
    held.emplace(std::move(writer));
    ready = true;
  });
  TestClient c = client();
  c.send(get("/"));
  const auto head = c.read_head();
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->headers.find("x-held").value_or(""), "yes");
  EXPECT_EQ(c.read_chunk(), kSseKeepAlive);
  ASSERT_TRUE(ready);
  // Too late for another head, or for a whole answer; the stream goes on.
  EXPECT_EQ(held->begin_stream(500, {}), WriteStatus::kClosed);
  EXPECT_EQ(held->send({}), WriteStatus::kClosed);
  EXPECT_TRUE(held->started());
  held->write("data");
  held->finish();
  std::string piece = c.read_chunk().value_or("");
  while (piece == kSseKeepAlive) piece = c.read_chunk().value_or("");
  EXPECT_EQ(piece, "data");
  server_->stop();
}

TEST_F(ServerTest, AHeldHeadGivesWayToAnotherAnswer) {
  start([&](Request request, ResponseWriter writer) {
    writer.hold_head(200, {{"x-held", "yes"}});
    writer.keep_alive(10s, std::string(kSseKeepAlive));
    if (request.path == "/stream") {
      writer.begin_stream(200, {{"x-begun", "yes"}});
      writer.finish();
    } else {
      writer.send({503, {}, "busy"});
    }
  });
  const auto refused = client().exchange(get("/"));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 503);
  EXPECT_FALSE(refused->headers.contains("x-held"));
  const auto begun = client().exchange(get("/stream"));
  ASSERT_TRUE(begun.has_value());
  EXPECT_TRUE(begun->headers.contains("x-begun"));
  EXPECT_FALSE(begun->headers.contains("x-held"));
}

TEST_F(ServerTest, DroppedWriterGives500AndAThrowingHandlerToo) {
  start([](Request request, ResponseWriter writer) {
    if (request.path == "/throw") throw std::runtime_error("secret");
    if (request.path == "/stream") {
      writer.begin_stream(200, {});
      writer.write("half");
    }
  });
  TestClient c = client();
  for (const char* path : {"/drop", "/throw"}) {
    const auto response = c.exchange(get(path));
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->status, 500);
    EXPECT_EQ(response->body, std::string("internal_error ") + path);
  }
  EXPECT_FALSE(
      c.exchange(get("/stream")).has_value());  // cut: the client sees that something is missing
  EXPECT_TRUE(client().exchange(get("/drop")).has_value());
}

TEST_F(ServerTest, DisconnectIsNoticedWhileTheAnswerIsPending) {
  for (const bool reset : {false, true}) {
    std::atomic<int> closed = 0;
    std::optional<ResponseWriter> held;
    start([&](Request, ResponseWriter writer) {
      writer.on_closed([&](CloseReason reason) {
        EXPECT_EQ(reason, CloseReason::kPeerClosed);
        ++closed;
      });
      held.emplace(std::move(writer));
    });
    TestClient c = client();
    c.send(get("/"));
    ASSERT_TRUE(eventually([&] { return observer.count("opened") > 0; }));
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(closed, 0);
    reset ? c.reset() : c.close();
    EXPECT_TRUE(eventually([&] { return closed == 1; }));
    EXPECT_TRUE(held->closed());
    EXPECT_EQ(held->send({200, {}, "late"}), WriteStatus::kClosed);
    bool late = false;  // registering after the fact is told at once
    held->on_closed([&](CloseReason) { late = true; });
    EXPECT_TRUE(late);
    server_->stop();
    EXPECT_EQ(closed, 1);
  }
}

TEST_F(ServerTest, NoClosedCallbackAfterAFullAnswer) {
  std::atomic<int> closed = 0;
  start([&](Request, ResponseWriter writer) {
    writer.on_closed([&](CloseReason) { ++closed; });
    writer.send({200, {}, "ok"});
  });
  {
    TestClient c = client();
    ASSERT_TRUE(c.exchange(get("/")).has_value());
  }
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
  EXPECT_EQ(closed, 0);
}

TEST_F(ServerTest, AHalfClosedClientGetsAnAnswerThatIsReady) {
  // Large, so that the end of the request stream is seen while the answer is still being written.
  start([](Request, ResponseWriter writer) {
    writer.send({200, {}, std::string(20'000'000, 'x')});
  });
  TestClient c = client();
  c.send(get("/x"));
  c.shutdown_send();
  const auto response = c.read_response();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->body.size(), 20'000'000U);
  EXPECT_TRUE(c.wait_closed());
}

TEST_F(ServerTest, StopTellsPendingWriters) {
  std::atomic<int> closed = 0;
  std::optional<ResponseWriter> held;
  std::atomic<bool> holds = false;  // `held` is the server's thread's until then
  start([&](Request, ResponseWriter writer) {
    writer.on_closed([&](CloseReason reason) {
      EXPECT_EQ(reason, CloseReason::kServerStopped);
      ++closed;
    });
    held.emplace(std::move(writer));
    holds = true;
  });
  TestClient c = client();
  c.send(get("/"));
  ASSERT_TRUE(eventually([&] { return holds && server_->connections() == 1; }));
  server_->stop();
  EXPECT_EQ(closed, 1);
  server_.reset();
  EXPECT_EQ(held->send({200, {}, "x"}), WriteStatus::kClosed);  // a writer may outlive the server
}

TEST_F(ServerTest, DrainFinishesWhatHasBegun) {
  std::atomic<bool> go = false;
  std::vector<std::thread> threads;
  start([&](const Request& request, ResponseWriter writer) {
    if (request.path == "/ready") {
      writer.send({503, {}, "draining"});
      return;
    }
    threads.emplace_back([&go, w = std::move(writer)]() mutable {
      while (!go) std::this_thread::sleep_for(1ms);
      w.send({200, {}, "done"});
    });
  });
  TestClient idle = client();
  TestClient busy = client();
  busy.send(get("/"));
  ASSERT_TRUE(eventually([&] { return server_->connections() == 2; }));
  std::this_thread::sleep_for(20ms);
  server_->drain();
  EXPECT_TRUE(idle.wait_closed());
  EXPECT_FALSE(server_->wait_drained(30ms));
  // Who asks meanwhile has an answer, which closes, and holds nothing up.
  const auto probe = client().exchange(get("/ready"));
  ASSERT_TRUE(probe.has_value());
  EXPECT_EQ(probe->headers.find("connection"), "close");
  TestClient silent = client();
  EXPECT_FALSE(server_->wait_drained(30ms));
  go = true;
  const auto response = busy.read_response();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->body, "done");
  EXPECT_EQ(response->headers.find("connection"), "close");
  busy.close();
  EXPECT_TRUE(server_->wait_drained(5000ms));
  for (auto& thread : threads) thread.join();
}

// A request sent before the drain is answered, even when the server has not accepted its connection
// yet: the I/O thread is busy while both happen.
TEST_F(ServerTest, DrainAnswersWhatWasSentBeforeIt) {
  start_echo();
  TestClient kept = client();
  ASSERT_TRUE(kept.exchange(get("/")).has_value());
  std::promise<void> go;
  server_->post([waits = go.get_future().share()] { waits.wait(); });
  std::vector<TestClient> late;
  for (int i = 0; i < 20; ++i) late.push_back(client());
  for (TestClient& c : late) c.send(get("/"));
  kept.send(get("/"));
  server_->drain();
  go.set_value();
  late.push_back(std::move(kept));
  for (size_t i = 0; i < late.size(); ++i) {
    TestClient& c = late[i];
    const auto response = c.read_response();
    ASSERT_TRUE(response.has_value()) << "client " << i;
    EXPECT_EQ(response->status, 200);
    c.close();
  }
  EXPECT_TRUE(server_->wait_drained(5000ms));
}

// Nothing is open while the drain has not run: the wait is for that too.
TEST_F(ServerTest, TheWaitForADrainIsForItsBeginToo) {
  start_echo();
  std::promise<void> go;
  server_->post([waits = go.get_future().share()] { waits.wait(); });
  TestClient late = client();
  late.send(get("/"));
  server_->drain();
  EXPECT_FALSE(server_->wait_drained(30ms));
  go.set_value();
  const auto response = late.read_response();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 200);
  late.close();
  EXPECT_TRUE(server_->wait_drained(5000ms));
}

TEST_F(ServerTest, WhatIsStillReadWhenTheDrainEndsIsToldSo) {
  start_echo();
  TestClient body = client();
  body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");
  TestClient head = client();
  head.send("GET / HT");
  TestClient second = client();
  ASSERT_TRUE(second.exchange(get("/")).has_value());
  second.send("GET / HTTP/1.1\r\n");
  ASSERT_TRUE(eventually([&] { return server_->connections() == 3; }));
  std::this_thread::sleep_for(20ms);
  server_->drain();
  EXPECT_FALSE(server_->wait_drained(30ms));
  server_->refuse_unread();
  for (TestClient* c : {&body, &head, &second}) {
    const auto response = c->read_response();
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->status, 503);
    EXPECT_EQ(response->headers.find("retry-after"), "1");
    EXPECT_EQ(response->headers.find("connection"), "close");
    EXPECT_TRUE(c->wait_closed());
    c->close();
  }
  EXPECT_TRUE(server_->wait_drained(5000ms));
}

TEST_F(ServerTest, RequestIdIsEchoedOrMade) {
  start_echo();
  TestClient c = client();
  EXPECT_EQ(c.exchange(get("/", "X-Request-Id: abc-1\r\n"))->headers.find("x-request-id"), "abc-1");
  std::string last;
  for (const std::string& bad :
       {std::string(129, 'a'), std::string("a b"), std::string("\xc3\xa9"), std::string()}) {
    const auto response = c.exchange(get("/", "X-Request-Id: " + bad + "\r\n"));
    const std::string id(*response->headers.find("x-request-id"));
    EXPECT_THAT(id, StartsWith("req_"));
    EXPECT_NE(id, last);
    last = id;
  }
}

TEST_F(ServerTest, ResponseHeadersCannotBeSplit) {
  start([](Request, ResponseWriter writer) {
    writer.send({200,
                 {{"a", "b\r\nEvil: 1"}, {"c\r\n", "d"}, {"Content-Length", "999"}, {"ok", "1"}},
                 "x"});
  });
  const auto response = client().exchange(get("/"));
  ASSERT_TRUE(response.has_value());
  EXPECT_FALSE(response->headers.contains("evil"));
  EXPECT_EQ(response->headers.find("ok"), "1");
  EXPECT_EQ(response->body, "x");
}

TEST_F(ServerTest, ExpectContinue) {
  start_echo();
  TestClient c = client();
  c.send("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(c.read_head()->status, 100);
  c.send("abc");
  EXPECT_EQ(c.read_response()->body, "POST /x abc");
  // Who sends the body at once needs no permission.
  c.send("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(c.read_head()->status, 200);
}

TEST_F(ServerTest, Cors) {
  options.cors_origins = {"https://a.example"};
  start_echo();
  TestClient c = client();
  const auto preflight = c.exchange(
      "OPTIONS /x HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\n"
      "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: "
      "authorization\r\n\r\n");
  EXPECT_EQ(preflight->status, 204);
  EXPECT_EQ(preflight->headers.find("access-control-allow-origin"), "https://a.example");
  EXPECT_EQ(preflight->headers.find("access-control-allow-headers"), "authorization");
  EXPECT_TRUE(c.exchange(get("/", "Origin: https://a.example\r\n"))
                  ->headers.contains("access-control-allow-origin"));
  EXPECT_FALSE(c.exchange(get("/", "Origin: https://b.example\r\n"))
                   ->headers.contains("access-control-allow-origin"));
  EXPECT_FALSE(c.exchange(get("/"))->headers.contains("access-control-allow-origin"));
}

TEST_F(ServerTest, HostAllowList) {
  options.allowed_hosts = {"weir.example", "[::1]"};
  start_echo();
  const auto status = [&](const std::string& host) {
    return client().exchange("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")->status;
  };
  EXPECT_EQ(status("WEIR.example:8080"), 200);
  EXPECT_EQ(status("[::1]:80"), 200);
  EXPECT_EQ(status("evil.example"), 403);
  EXPECT_EQ(status("weir.example.evil"), 403);
  EXPECT_EQ(status(""), 403);
}

TEST_F(ServerTest, PortInUseNamesThePortAndARemedy) {
  start_echo();
  ServerOptions taken;
  taken.port = server_->port();
  const auto second = Server::start(
      taken, [](Request, ResponseWriter) {}, {}, clock);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kIo);
  EXPECT_THAT(second.error().message, HasSubstr("127.0.0.1:" + std::to_string(taken.port)));
  EXPECT_THAT(second.error().message, HasSubstr("choose another port"));
  taken.host = "203.0.113.1";  // of a documentation network: not ours
  EXPECT_THAT(Server::start(taken, {}, {}, clock).error().message, HasSubstr("no interface"));
  taken.host = "no such name";
  EXPECT_FALSE(Server::start(taken, {}, {}, clock).ok());
}

TEST_F(ServerTest, PostRunsOnTheIoThread) {
  start_echo();
  std::atomic<int> ran = 0;
  server_->post([&] { ++ran; });
  server_->post_after(5ms, [&] { ++ran; });
  server_->post_after(1h, [&] { ran += 100; });
  EXPECT_TRUE(eventually([&] { return ran == 2; }));
  server_->stop();
  server_->post([&] { ++ran; });
  EXPECT_EQ(ran, 2);
}

TEST_F(ServerTest, Routes) {
  const auto render = [](int status, const Error& error, std::string_view) {
    return json_response(status, std::string(error_code_name(error.code)));
  };
  Router router(render);
  const auto answer = [](const std::string& name) {
    return [name](Request request, ResponseWriter writer) {
      writer.send({200, {}, name + " " + std::string(request.param("id"))});
    };
  };
  router.add("GET", "/v1/models", answer("list"));
  router.add("GET", "/v1/models/{id}", answer("one"));
  router.add("DELETE", "/v1/models/{id}", answer("delete"));
  router.add("GET", "/v1/models/all", answer("all"));
  router.add("GET", "/files/{id...}", answer("file"));
  start([&](Request request, ResponseWriter writer) {
    router.handle(std::move(request), std::move(writer));
  });
  TestClient c = client();
  const auto body = [&](const std::string& path) { return c.exchange(get(path))->body; };
  EXPECT_EQ(body("/v1/models"), "list ");
  EXPECT_EQ(body("/v1/models/a%2Fb?x"), "one a/b");
  EXPECT_EQ(body("/v1/models/all"), "all ");
  EXPECT_EQ(body("/files/a/b%20c"), "file a/b c");
  EXPECT_EQ(body("/v1/models/"), "not_found");
  EXPECT_EQ(body("/v1"), "not_found");
  EXPECT_EQ(body("/v1/models/a/b"), "not_found");
  c.send("HEAD /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(c.read_response(true)->status, 200);
  const auto wrong = c.exchange(post("/v1/models/x", ""));
  EXPECT_EQ(wrong->status, 405);
  EXPECT_EQ(wrong->headers.find("allow"), "DELETE, GET, HEAD, OPTIONS");
  const auto options_response = c.exchange("OPTIONS /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(options_response->status, 204);
  EXPECT_EQ(options_response->headers.find("allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(router.pattern_of("/v1/models/zz"), "/v1/models/{id}");
  EXPECT_EQ(router.pattern_of("/zz"), "");
}

TEST(MetricsObserver, Counts) {
  telemetry::Registry registry;
  telemetry::HttpMetrics metrics(registry);
  MetricsObserver observer(metrics);
  SystemClock clock;
  auto server = Server::start(
      {},
      [](Request, ResponseWriter w) {
        w.send({200, {}, "ok"});
      },
      {}, clock, &observer);
  ASSERT_TRUE(server.ok());
  {
    TestClient c((*server)->port());
    c.exchange(get("/"));
    c.exchange("nonsense\r\n\r\n");
  }
  // An answer is counted when its write has completed, which may be after the client has read it.
  EXPECT_TRUE(eventually([&] { return metrics.requests.with("400").value() == 1; }));
  (*server)->stop();
  const std::string text = registry.exposition();
  EXPECT_THAT(text, HasSubstr("weir_http_requests_total{status=\"200\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_http_requests_total{status=\"400\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_http_connections 0\n"));
  EXPECT_THAT(text, HasSubstr("weir_http_connections_accepted_total 1\n"));
}

}  // namespace
}  // namespace weir::http
