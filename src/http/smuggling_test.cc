// Ways to make two parsers disagree on where a request ends. The front one is anything; ours is the
// back one: whatever is ambiguous gets one 400 and a close, and nothing behind it is taken for a
// request.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "http/server_test_util.h"

namespace weir::http {
namespace {

const std::string kSmuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

struct Variant {
  std::string name;
  std::string fields;  // between Host and the empty line
  std::string body;
};

std::vector<Variant> length_variants() {
  const auto length = [](const std::string& value) { return "Content-Length: " + value + "\r\n"; };
  std::vector<Variant> v{
      {"CL.TE", length("5") + "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"},
      {"TE.CL", "Transfer-Encoding: chunked\r\n" + length("5"), "0\r\n\r\n"},
      {"CL.TE with an unknown coding", length("5") + "Transfer-Encoding: x\r\n", "hello"},
      {"two equal lengths", length("5") + length("5"), "hello"},
      {"two lengths", length("5") + length("0"), "hello"},
      {"two lengths, other case", length("5") + "content-length: 0\r\n", "hello"},
      {"a list of lengths", length("5, 5"), "hello"},
      {"a list of two lengths", length("5, 0"), "hello"},
  };
  for (const char* value : {"+5", "-5", "5 ", "0x5", "5.0", "5e0", "", "5;", "\"5\"", "5\t5", "٥",
                            "18446744073709551621", "05 5"}) {
    if (std::string(value) == "5 ") continue;  // trailing whitespace is no part of a value
    v.push_back({"Content-Length: " + std::string(value), length(value), "hello"});
  }
  for (const char* name : {"Content-Length ", "Content-Length\t", " Content-Length",
                           "Content-Length\v", "Content\x01-Length", "Content-Length\xa0"}) {
    v.push_back({"\"" + std::string(name) + "\"", std::string(name) + ": 5\r\n", "hello"});
  }
  return v;
}

std::vector<Variant> encoding_variants() {
  std::vector<Variant> v;
  for (const char* value :
       {"xchunked", "chunked, identity", "identity, chunked", "identity", "chunked, chunked",
        "gzip, chunked", "chunked;q=1", "\"chunked\"", "chunked\v",
        "\x0b"
        "chunked",
        "chunke", "cow", "chunked\x01", ",chunked", "chunked,", "chu\nnked", "", "x\r\n chunked"}) {
    v.push_back({"Transfer-Encoding: " + std::string(value),
                 "Transfer-Encoding: " + std::string(value) + "\r\n", "0\r\n\r\n"});
  }
  for (const char* line :
       {"Transfer-Encoding : chunked\r\n", " Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n", "Transfer-Encoding\n: chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n", "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\r\n\tTransfer-Encoding: chunked\r\n", "X: y\r\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
        "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer\xc2\xa0-Encoding: chunked\r\n", "Transfer-Encoding: chunked\n",
        "Transfer-Encoding\r\n: chunked\r\n"}) {
    v.push_back({line, line, "0\r\n\r\n"});
  }
  return v;
}

std::vector<Variant> chunk_variants() {
  std::vector<Variant> v;
  for (const char* body : {"0x5\r\nhello\r\n0\r\n\r\n",
                           "+5\r\nhello\r\n0\r\n\r\n",
                           "-5\r\nhello\r\n0\r\n\r\n",
                           "5 \r\nhello\r\n0\r\n\r\n",
                           " 5\r\nhello\r\n0\r\n\r\n",
                           "5\nhello\r\n0\r\n\r\n",
                           "5\r\nhello\n0\r\n\r\n",
                           "5\r\nhello0\r\n\r\n",
                           "5\r\nhelloo\r\n0\r\n\r\n",
                           "5\r\nhell\r\n0\r\n\r\n",
                           "5;\r\nhello\r\n0\r\n\r\n",
                           "5;a\nb\r\nhello\r\n0\r\n\r\n",
                           "5;a=\"b\r\nhello\r\n0\r\n\r\n",
                           "5;a=b c\r\nhello\r\n0\r\n\r\n",
                           "5,5\r\nhello\r\n0\r\n\r\n",
                           "g\r\nhello\r\n0\r\n\r\n",
                           "\r\nhello\r\n0\r\n\r\n",
                           "10000000000000005\r\nhello\r\n0\r\n\r\n",
                           "0\r\nX: y\n\r\n",
                           "0\r\n X: y\r\n\r\n",
                           "0\r\nX y\r\n\r\n",
                           "5\r\r\nhello\r\n0\r\n\r\n",
                           "5\r\nhello\r0\r\n\r\n"}) {
    v.push_back({body, "Transfer-Encoding: chunked\r\n", body});
  }
  return v;
}

class Smuggling : public ServerTest {
 protected:
  void SetUp() override {
    start([this](Request request, ResponseWriter writer) {
      (request.path == "/smuggled" ? smuggled_ : handled_)++;
      writer.send({200, {}, request.body});
    });
  }
  std::atomic<int> handled_ = 0;
  std::atomic<int> smuggled_ = 0;
};

TEST_F(Smuggling, WhatIsAmbiguousIsRefusedOnce) {
  size_t cases = 0;
  for (const auto& variants : {length_variants(), encoding_variants(), chunk_variants()}) {
    for (const Variant& v : variants) {
      SCOPED_TRACE(testing::PrintToString(v.name));
      ++cases;
      TestClient c = client();
      c.send("POST /first HTTP/1.1\r\nHost: h\r\n" + v.fields + "\r\n" + v.body + kSmuggled);
      const std::string all = c.receive_all();
      EXPECT_TRUE(all.starts_with("HTTP/1.1 400 ") || all.starts_with("HTTP/1.1 413 ")) << all;
      EXPECT_EQ(all.find("HTTP/1.1", 1), std::string::npos) << "two answers: " << all;
      EXPECT_NE(all.find("connection: close"), std::string::npos) << all;
    }
  }
  EXPECT_EQ(handled_, 0);
  EXPECT_EQ(smuggled_, 0);
  printf("%zu smuggling variants\n", cases);
  RecordProperty("cases", static_cast<int>(cases));
}

// What looks odd and is right: one body, then the next request.
TEST_F(Smuggling, WhatIsClearIsServedOnce) {
  const Variant variants[] = {
      {"hello", "Content-Length: 5\r\n", "hello"},
      {"hello", "Content-Length: \t 5 \r\n", "hello"},
      {"hello", "Content-Length: 0000005\r\n", "hello"},
      {"hello", "TRANSFER-ENCODING: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"},
      {"hello", "Transfer-Encoding: chunked\r\n", "0005\r\nhello\r\n000\r\n\r\n"},
      {"hello", "Transfer-Encoding: chunked\r\n", "5;a;b=c;d=\"e\"\r\nhello\r\n0;x\r\n\r\n"},
      {"hello", "Transfer-Encoding: chunked\r\n",
       "5\r\nhello\r\n0\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\n"},
      {"", "Content-Length: 0\r\n", ""},
      {kSmuggled, "Content-Length: " + std::to_string(kSmuggled.size()) + "\r\n", kSmuggled},
  };
  for (const Variant& v : variants) {
    TestClient c = client();
    c.send("POST /first HTTP/1.1\r\nHost: h\r\n" + v.fields + "\r\n" + v.body + get("/second"));
    const auto first = c.read_response();
    ASSERT_TRUE(first.has_value()) << v.fields;
    EXPECT_EQ(first->status, 200) << v.fields;
    EXPECT_EQ(first->body, v.name);
    const auto second = c.read_response();
    ASSERT_TRUE(second.has_value()) << v.fields;
    EXPECT_EQ(second->body, "");
  }
  EXPECT_EQ(smuggled_, 0);
}

// What a client puts into a header comes back in none but the one it belongs to.
TEST_F(Smuggling, HeadersCannotBeInjected) {
  for (const char* id : {"a\rset-cookie: x=1", "a\nset-cookie: x=1", "a b", "a\tb", "\x80\x81", "",
                         "a%0d%0aset-cookie:%20x=1", "\x1b[31mred"}) {
    TestClient c = client();
    c.send(get("/", "X-Request-Id: " + std::string(id) + "\r\n"));
    const auto response = c.read_response();
    ASSERT_TRUE(response.has_value());
    EXPECT_FALSE(response->headers.contains("set-cookie"));
    const std::string echoed(response->headers.find("x-request-id").value_or(""));
    EXPECT_TRUE(echoed.starts_with("req_") || echoed == "a%0d%0aset-cookie:%20x=1") << echoed;
  }
  for (const char* path : {"/%0d%0aSet-Cookie:%20x=1", "/%0aSet-Cookie:x", "/\xc4\x8d\xc4\x8a"}) {
    TestClient c = client();
    c.send(get(path));
    const auto response = c.read_response();
    ASSERT_TRUE(response.has_value());
    EXPECT_FALSE(response->headers.contains("set-cookie"));
  }
}

// 10,000 clients come and go: orderly, by reset, after half a request, without a word.
TEST_F(Smuggling, TenThousandConnectAndDisconnect) {
  constexpr int kClients = 10'000;
  int served = 0;
  for (int i = 0; i < kClients; ++i) {
    TestClient c = client();
    ASSERT_TRUE(c.connected()) << i;
    if (i % 4 == 1) c.send("GET / HTTP/1.1\r\nHo");
    if (i % 4 == 2) c.reset();
    if (i % 100 == 3) {
      const auto r = c.exchange(get("/"));
      ASSERT_TRUE(r.has_value()) << i;
      served += r->status == 200 ? 1 : 0;
    }
  }
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; })) << server_->connections();
  EXPECT_EQ(served, kClients / 100);
  EXPECT_TRUE(client().exchange(get("/")).has_value());
}

}  // namespace
}  // namespace weir::http
