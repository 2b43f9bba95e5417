#include "http/exchange.h"

#include <gtest/gtest.h>

#include <memory>

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

TEST(Exchange, TheHeadGetsTheHeadersThatWereSet) {
  Exchange exchange("id", 100, [] {});
  exchange.set_headers({{"x-a", "1"}});
  exchange.set_headers({{"x-a", "2"}, {"x-b", "3"}});
  exchange.send(Response{200, {{"X-A", "0"}, {"x-c", "4"}}, ""});
  const Exchange::Outbox outbox = exchange.take();
  const Headers& h = outbox.head->headers;
  EXPECT_EQ(h.all().size(), 3U);
  EXPECT_EQ(*h.find("x-a"), "2");
  EXPECT_EQ(*h.find("x-b"), "3");
}

// A client that has its answer finds the place free: it is given up before the last wake-up.
TEST(Exchange, WhatIsHeldGoesBeforeTheLastBytes) {
  const auto place = [](bool& released) {
    return std::shared_ptr<void>(nullptr, [&released](void*) { released = true; });
  };
  bool released = false;
  bool at_wake = false;
  Exchange whole("id", 100, [&] { at_wake = released; });
  whole.hold(place(released));
  whole.send(Response{});
  EXPECT_TRUE(at_wake);

  released = at_wake = false;
  Exchange stream("id", 100, [&] { at_wake = released; });
  stream.hold(place(released));
  stream.begin_stream(200, {});
  stream.write("a");
  EXPECT_FALSE(at_wake);
  stream.take();
  stream.finish();
  EXPECT_TRUE(at_wake);

  for (const int end : {0, 1, 2}) {
    released = false;
    Exchange cut("id", 100, [] {});
    cut.hold(place(released));
    if (end == 0) cut.fail(CloseReason::kPeerClosed);
    if (end == 1) cut.abort();
    if (end == 2) cut.drop();
    EXPECT_TRUE(released) << end;
  }
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
