// The route that sends cache events, over loopback.
#include "server/kv_event_stream.h"

#include <gtest/gtest.h>

#include "http/server_test_util.h"

namespace weir::server {
namespace {

using namespace std::chrono_literals;

class KvEventStreamTest : public http::ServerTest {
 protected:
  void publish(int batches) {
    const std::vector<int32_t> tokens(32, 7);
    for (int i = 0; i < batches; ++i) {
      const auto n = events_.next_sequence();
      events_.on_stored({{0, 0}, {n, 0}, {n + 1, 0}, tokens, 32, 0});
      events_.publish(1);
    }
  }
  void start_stream() {
    stream_ = std::make_unique<KvEventStream>(events_);
    start([this](const http::Request& request, http::ResponseWriter writer) {
      stream_->handle(request, std::move(writer));
    });
  }
  void TearDown() override { server_.reset(); }
  // The numbers of the batches that come, up to `last`.
  static std::vector<int> numbers(http::TestClient& client, int last) {
    std::vector<int> got;
    std::string text;
    while (got.empty() || got.back() != last) {
      const auto chunk = client.read_chunk();
      if (!chunk.has_value() || chunk->empty()) break;
      text += *chunk;
      for (size_t end = 0; (end = text.find("\n\n")) != std::string::npos;) {
        if (text.starts_with("id: ")) got.push_back(std::stoi(text.substr(4)));
        text.erase(0, end + 2);
      }
    }
    return got;
  }

  kv::CacheEvents events_;
  std::unique_ptr<KvEventStream> stream_;
};

TEST_F(KvEventStreamTest, WhoAsksForThePastGetsAllOfItAtOnce) {
  publish(200);
  start_stream();
  http::TestClient c = client();
  c.set_timeout(3s);
  ASSERT_TRUE(c.send(http::get("/?from=0")));
  ASSERT_TRUE(c.read_head().has_value());
  EXPECT_EQ(numbers(c, 199).size(), 200U) << "nothing new is published";
  publish(1);
  EXPECT_EQ(numbers(c, 200), std::vector<int>{200});
}

TEST_F(KvEventStreamTest, WhoWasSlowGoesOnWithoutANewEvent) {
  options.limits.write_buffer_bytes = 2048;  // four batches
  publish(200);
  start_stream();
  http::TestClient c = client();
  c.set_timeout(3s);
  ASSERT_TRUE(c.send(http::get("/?from=0")));
  ASSERT_TRUE(c.read_head().has_value());
  EXPECT_EQ(numbers(c, 199).size(), 200U);
}

}  // namespace
}  // namespace weir::server
