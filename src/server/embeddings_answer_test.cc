// The answer to an embeddings request without sockets: what runs on which thread.
#include "server/embeddings_answer.h"

#include <gtest/gtest.h>

#include <future>
#include <string>

#include "engine/engine_testing.h"
#include "engine/fake_runner.h"
#include "http/server.h"
#include "http/server_test_util.h"
#include "server/instruments.h"
#include "server/tenants.h"

namespace weir::server {
namespace {

// A worker that is busy holds up the answer, and no step: the engine goes on to the next request.
TEST(EmbeddingsAnswerTest, NoStepWritesTheAnswer) {
  engine::FakeRunner runner{{}};
  runner.traits = {4, model::Pooling::kMean, true};
  const auto tokenizer = engine::tiny_tokenizer();
  ASSERT_NE(tokenizer, nullptr);
  const SystemClock clock;
  engine::Engine engine(runner, *tokenizer, clock, {});
  Instruments instruments("tiny");
  Tenants tenants(clock, instruments.registry, "a secret of this process");
  tenants.load({}, {}, false);
  auto access = tenants.check({}, Right::kInference);
  ASSERT_TRUE(access.ok() && access->has_value());
  os::Executor executor(1, 1);
  std::promise<void> release;
  ASSERT_TRUE(executor.run([held = release.get_future().share()] { held.wait(); }));
  const auto handle = [&](const http::Request& r, http::ResponseWriter writer) {
    auto ticket = tenants.begin(**access, r);
    ASSERT_TRUE(ticket.ok());
    EmbeddingsSpec spec{"tiny", api::VectorEncoding::kNumbers, {}, *ticket};
    const AnswerContext context{engine, *tokenizer, clock, instruments.reporting(), nullptr};
    engine::Request request;
    request.texts = {{1, 2, 3}};
    ASSERT_TRUE((*ticket)->reserve(request, engine.max_context_tokens()).ok());
    // shared: as Routes does it.
    std::make_shared<EmbeddingsAnswer>(context, executor, std::move(spec), std::move(writer))
        ->submit(std::move(request));
  };
  auto server = http::Server::start({}, handle, {}, clock);
  ASSERT_TRUE(server.ok());
  http::TestClient client((*server)->port());
  client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  ASSERT_TRUE(http::eventually([&] { return !engine.idle(); }));
  while (engine.step()) {
  }
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(instruments.engine.request_success.with("stop").value(), 0)
      << "a step wrote the answer";
  release.set_value();
  const auto answer = client.read_response();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(instruments.engine.request_success.with("stop").value(), 1);
}

TEST(ExecutorTest, WhatEndsARequestGoesFirstAndIsAlwaysTaken) {
  std::promise<void> release;
  std::promise<void> begun;
  std::string order;
  {
    os::Executor executor(1, 1);
    ASSERT_TRUE(executor.run([&, held = release.get_future().share()] {
      begun.set_value();
      held.wait();
    }));
    begun.get_future().wait();
    ASSERT_TRUE(executor.run([&] { order += 'a'; }));
    EXPECT_FALSE(executor.run([&] { order += 'b'; }));
    executor.run_first([&] { order += 'c'; });
    release.set_value();
  }
  EXPECT_EQ(order, "ca");
}

}  // namespace
}  // namespace weir::server
