#include "http/exchange.h"

#include <gtest/gtest.h>

namespace weir::http {
namespace {

TEST(Exchange, ManyWritesAreOneWakeUp) {
  int wakes = 0;
  Exchange exchange("id", 100, [&] { ++wakes; });
  exchange.begin_stream(200, {});
  exchange.write("a");
  exchange.write("b");
  EXPECT_EQ(wakes, 1);
  Exchange::Outbox outbox = exchange.take();
  EXPECT_TRUE(outbox.stream);
  EXPECT_EQ(outbox.data, "ab");
  exchange.write("c");
  exchange.finish();
  EXPECT_EQ(wakes, 2);
  outbox = exchange.take();
  EXPECT_FALSE(outbox.head.has_value());
  EXPECT_EQ(outbox.data, "c");
  EXPECT_TRUE(outbox.finished);
}

TEST(Exchange, BoundsAndWritable) {
  int writable = 0;
  Exchange exchange("id", 100, [] {});
  exchange.on_writable([&] { ++writable; });
  exchange.begin_stream(200, {});
  EXPECT_EQ(exchange.write(std::string(100, 'x')), WriteStatus::kOk);
  EXPECT_EQ(exchange.write("x"), WriteStatus::kSlow);
  exchange.take();
  EXPECT_EQ(exchange.buffered_bytes(), 101U);
  exchange.set_unsent(50);
  EXPECT_EQ(writable, 0);
  exchange.set_unsent(49);
  exchange.set_unsent(0);
  EXPECT_EQ(writable, 1);
  EXPECT_EQ(exchange.write(std::string(400, 'x')), WriteStatus::kSlow);
  EXPECT_EQ(exchange.write("x"), WriteStatus::kClosed);
  EXPECT_EQ(exchange.take().abort, CloseReason::kSlowReader);
}

TEST(Exchange, AnswersOnce) {
  Exchange exchange("id", 100, [] {});
  EXPECT_EQ(exchange.write("x"), WriteStatus::kClosed);
  EXPECT_EQ(exchange.send({200, {}, "a"}), WriteStatus::kOk);
  EXPECT_EQ(exchange.send({200, {}, "b"}), WriteStatus::kClosed);
  EXPECT_EQ(exchange.begin_stream(200, {}), WriteStatus::kClosed);
  EXPECT_EQ(exchange.take().head->body, "a");
}

TEST(Exchange, CallbacksAreCalledOnceAndThrowingOnesAreHarmless) {
  int closed = 0;
  Exchange exchange("id", 100, [] {});
  exchange.on_closed([&](CloseReason) {
    ++closed;
    throw 1;
  });
  exchange.fail(CloseReason::kPeerClosed);
  exchange.fail(CloseReason::kServerStopped);
  EXPECT_EQ(closed, 1);
}

TEST(Exchange, NothingHappensAfterCompletion) {
  int wakes = 0;
  int closed = 0;
  Exchange exchange("id", 100, [&] { ++wakes; });
  exchange.on_closed([&](CloseReason) { ++closed; });
  exchange.send({200, {}, "a"});
  exchange.complete();
  exchange.fail(CloseReason::kPeerClosed);
  exchange.abort();
  exchange.drop();
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(closed, 0);
}

}  // namespace
}  // namespace weir::http
