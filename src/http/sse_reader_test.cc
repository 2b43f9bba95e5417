#include "http/sse_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/sse.h"

namespace weir::http {
namespace {

// Events as "name|id|data".
std::vector<std::string> read(std::string_view bytes, size_t step = 1 << 20) {
  SseReader reader;
  std::vector<std::string> out;
  for (size_t at = 0; at < bytes.size(); at += step) {
    const Status ok = reader.feed(bytes.substr(at, step), [&](const SseEvent& e) {
      out.push_back(std::string(e.name) + "|" + std::string(e.id) + "|" + std::string(e.data));
    });
    EXPECT_TRUE(ok.ok());
  }
  return out;
}

using Events = std::vector<std::string>;

TEST(SseReader, FieldsAndLineEnds) {
  EXPECT_EQ(read("data: a\n\n"), Events{"||a"});
  EXPECT_EQ(read("data:a\r\n\r\n"), Events{"||a"});
  EXPECT_EQ(read("data:  a\r\r"), Events{"|| a"});
  EXPECT_EQ(read("data: a\ndata\ndata: b\n\n"), Events{"||a\n\nb"});
  EXPECT_EQ(read("event: x\nid: 7\ndata: a\n\ndata: b\n\n"), (Events{"x|7|a", "|7|b"}));
  EXPECT_EQ(read(": keep-alive\n\nretry: 5\nother: y\ndata: a\n\n"), Events{"||a"});
  EXPECT_EQ(read("event: lost\n\ndata: a\n\n"), Events{"||a"});
  EXPECT_EQ(read("data: unfinished\n"), Events{});
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "data: a\n\n"),
            Events{"||a"});
  EXPECT_EQ(read(std::string("id: a\0b\ndata: a\n\n", 17)), Events{"||a"});
}

TEST(SseReader, ReadsWhatTheServerWrites) {
  std::string bytes;
  append_sse_event(bytes, "delta", "{\"a\":1}\nsecond");
  append_sse_data(bytes, "");
  bytes += kSseDone;
  EXPECT_EQ(read(bytes), (Events{"delta||{\"a\":1}\nsecond", "||", "||[DONE]"}));
}

TEST(SseReader, AnyCutGivesTheSame) {
  const std::string bytes =
      "\xEF\xBB\xBF: hello\r\nevent: x\r\ndata: one\r\ndata: two\r\n\r\ndata: a\n\ndata: b\r\r"
      "id: 9\ndata:\n\ndata: cut";
  const Events whole = read(bytes);
  ASSERT_EQ(whole.size(), 4U);
  for (size_t step = 1; step < bytes.size(); ++step) EXPECT_EQ(read(bytes, step), whole) << step;
  // Of a stream cut anywhere, the events that were whole.
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    const Events part = read(std::string_view(bytes).substr(0, cut));
    ASSERT_LE(part.size(), whole.size());
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin())) << cut;
  }
}

TEST(SseReader, EventsAreBounded) {
  const auto none = [](const SseEvent&) {};
  SseReader line(100);
  EXPECT_TRUE(line.feed(std::string(100, 'x'), none).ok());
  EXPECT_EQ(line.feed("x", none).error().code, ErrorCode::kLimit);
  SseReader many(100);
  std::string data;
  for (int i = 0; i < 20; ++i) data += "data: 12345\n";
  EXPECT_EQ(many.feed(data, none).error().code, ErrorCode::kLimit);
  SseReader short_ones(100);
  std::string fine;
  for (int i = 0; i < 100; ++i) fine += "data: 12345\n\n";
  EXPECT_TRUE(short_ones.feed(fine, none).ok());
}

}  // namespace
}  // namespace weir::http
