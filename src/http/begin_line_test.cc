#include "http/begin_line.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <stdexcept>
#include <string>

namespace weir::http {
namespace {

struct Line : public ::testing::Test {
  // A request that takes this long; a letter tells when.
  void add(char letter, int64_t ns = 0) {
    line->add([this, letter, ns] {
      order += letter;
      clock.advance_ns(ns);
    });
  }
  // What every look at the sockets finds, `left` times.
  void deliver(int left, int64_t ns = 0) {
    order += '.';
    clock.advance_ns(ns);
    if (left > 1) boost::asio::post(io, [this, left, ns] { deliver(left - 1, ns); });
  }

  boost::asio::io_context io{1};
  ManualClock clock;
  std::shared_ptr<BeginLine> line = std::make_shared<BeginLine>(io.get_executor(), clock);
  std::string order;
};

TEST_F(Line, IsOnlyForTheTimeOfStreams) {
  EXPECT_TRUE(line->at_once());
  line->stream_begun();
  EXPECT_FALSE(line->at_once());
  add('a');
  line->stream_ended();
  EXPECT_FALSE(line->at_once());  // not past the one that waits
  io.run();
  EXPECT_EQ(order, "a");
  EXPECT_TRUE(line->at_once());
}

TEST_F(Line, LetsOthersGoAheadAfterEachTurn) {
  line->stream_begun();
  for (const char c : std::string("abcdef")) add(c, BeginLine::kTurn_ns / 2);
  boost::asio::post(io, [this] { deliver(4); });
  io.run();
  EXPECT_EQ(order, "ab.cd.ef..");
}

TEST_F(Line, ALongOneTakesItsTurnAlone) {
  line->stream_begun();
  for (const char c : std::string("abc")) add(c, BeginLine::kTurn_ns * 5);
  boost::asio::post(io, [this] { deliver(3); });
  io.run();
  EXPECT_EQ(order, "a.b.c.");
}

// The thread is busy: what is ready takes ten turns' time before each. Requests get half of that.
TEST_F(Line, GetsAThirdOfAThreadThatIsShort) {
  line->stream_begun();
  for (const char c : std::string("abcdefghijkl")) add(c, BeginLine::kTurn_ns);
  boost::asio::post(io, [this] { deliver(3, BeginLine::kTurn_ns * 10); });
  io.run();
  EXPECT_EQ(order, "a.bcdef.ghijk.l");
}

TEST_F(Line, TakesOneThatIsAddedFromAnother) {
  line->stream_begun();
  line->add([this] {
    order += 'a';
    add('b');
  });
  io.run();
  EXPECT_EQ(order, "ab");
}

TEST_F(Line, GoesOnAfterOneThatThrows) {
  line->stream_begun();
  line->add([] { throw std::runtime_error("of a handler"); });
  add('b');
  EXPECT_THROW(io.run(), std::runtime_error);
  io.restart();
  io.run();
  EXPECT_EQ(order, "b");
}

TEST_F(Line, MayEndBeforeItsTurn) {
  line->stream_begun();
  add('a');
  line.reset();
  io.run();
  EXPECT_EQ(order, "");
}

}  // namespace
}  // namespace weir::http
