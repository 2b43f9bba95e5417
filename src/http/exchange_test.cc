#include "http/exchange.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

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

// Takes everything at once, and leaves `unsent` of it waiting.
struct TakerAtOnce : public Taker {
  bool take_now() override {
    if (!takes) return false;
    data += exchange->take().data;
    exchange->set_unsent(unsent);
    return true;
  }
  bool takes = true;
  Exchange* exchange = nullptr;
  std::string data;
  size_t unsent = 0;
};

TEST(Exchange, WhatIsWrittenNowIsTakenBeforeTheCallReturns) {
  int wakes = 0;
  const auto taker = std::make_shared<TakerAtOnce>();
  Exchange exchange(
      "id", 100, [&] { ++wakes; }, taker);
  taker->exchange = &exchange;
  EXPECT_EQ(exchange.write_now("early"), WriteStatus::kClosed);  // before the head
  exchange.begin_stream(200, {});
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(exchange.write_now("a"), WriteStatus::kOk);
  EXPECT_EQ(exchange.write_now("b"), WriteStatus::kOk);
  EXPECT_EQ(taker->data, "ab");
  EXPECT_EQ(wakes, 1);
  taker->takes = false;
  EXPECT_EQ(exchange.write_now("c"), WriteStatus::kOk);
  EXPECT_EQ(exchange.write_now("d"), WriteStatus::kOk);
  EXPECT_EQ(wakes, 2);
  EXPECT_EQ(exchange.take().data, "cd");
  taker->takes = true;
  exchange.finish();
  EXPECT_EQ(exchange.write_now("late"), WriteStatus::kClosed);
}

// What the socket does not take makes it slow; what it takes is no longer counted.
TEST(Exchange, WrittenNowIsSlowByWhatTheSocketLeaves) {
  const auto taker = std::make_shared<TakerAtOnce>();
  Exchange exchange(
      "id", 100, [] {}, taker);
  taker->exchange = &exchange;
  int writable = 0;
  exchange.on_writable([&] { ++writable; });
  exchange.begin_stream(200, {});
  EXPECT_EQ(exchange.write_now(std::string(150, 'x')), WriteStatus::kOk);
  EXPECT_EQ(writable, 1);  // within the call: it was slow for a moment
  taker->unsent = 150;
  EXPECT_EQ(exchange.write_now(std::string(150, 'x')), WriteStatus::kSlow);
  EXPECT_EQ(writable, 1);
}

TEST(Exchange, WithoutAConnectionToTakeItWritingNowIsWriting) {
  int wakes = 0;
  auto taker = std::make_shared<TakerAtOnce>();
  Exchange exchange(
      "id", 100, [&] { ++wakes; }, taker);
  taker.reset();
  exchange.begin_stream(200, {});
  exchange.take();
  EXPECT_EQ(exchange.write_now("a"), WriteStatus::kOk);
  EXPECT_EQ(wakes, 2);
  EXPECT_EQ(exchange.take().data, "a");
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
