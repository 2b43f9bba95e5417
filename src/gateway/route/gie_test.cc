// Endpoints by header: only those that are configured.
#include "gateway/route/gie.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace weir::gateway {
namespace {

using Indexes = std::vector<uint32_t>;

Destinations some() {
  Destinations d;
  d.add(*IpPort::parse("10.0.0.5:8000"), 0);
  d.add(*IpPort::parse("10.0.0.6:8000"), 1);
  d.add(*IpPort::parse("[2001:db8::1]:80"), 2);
  d.add(*IpPort::parse("10.0.0.6:8000"), 3);  // one address in two pools
  return d;
}

TEST(GieTest, AddressesReadBack) {
  for (const char* text : {"10.0.0.5:8080", "[2001:db8::1]:80", "127.0.0.1:1", "[::1]:65535"})
    EXPECT_EQ(IpPort::parse(text)->text(), text);
  EXPECT_EQ(IpPort::parse("[::ffff:10.0.0.5]:80"), IpPort::parse("10.0.0.5:80"));
  EXPECT_EQ(IpPort::parse("[2001:DB8:0::1]:80")->text(), "[2001:db8::1]:80");
}

TEST(GieTest, AnythingElseIsNoAddress) {
  for (const std::string_view text : {"",
                                      ":",
                                      "10.0.0.5",
                                      "10.0.0.5:",
                                      "10.0.0.5:0",
                                      "10.0.0.5:08",
                                      "10.0.0.5:65536",
                                      "10.0.0.5:+80",
                                      "10.0.0.5:-1",
                                      "10.0.0.5:80 ",
                                      "10.0.0.5:8x",
                                      "10.0.5:80",
                                      "167772165:80",
                                      "010.0.0.5:80",
                                      "0x0a.0.0.5:80",
                                      "localhost:80",
                                      "2001:db8::1:80",
                                      "[2001:db8::1]",
                                      "[fe80::1%eth0]:80",
                                      "[]:80",
                                      "[10.0.0.5]:80",
                                      "http://10.0.0.5:80",
                                      "10.0.0.5:80/path",
                                      "user@10.0.0.5:80"})
    EXPECT_FALSE(IpPort::parse(text).has_value()) << text;
  EXPECT_FALSE(IpPort::parse(std::string_view("10.0.0.5\0:80", 12)).has_value());
}

TEST(GieTest, ListsKeepTheirOrder) {
  const Destinations d = some();
  EXPECT_EQ(*d.parse("10.0.0.5:8000"), Indexes({0}));
  EXPECT_EQ(*d.parse("[2001:db8::1]:80, 10.0.0.6:8000,\t10.0.0.5:8000"), Indexes({2, 1, 3, 0}));
  EXPECT_EQ(*d.parse("10.0.0.5:8000,10.0.0.5:8000"), Indexes({0}));
}

TEST(GieTest, NeverAnywhereElse) {
  const Destinations d = some();
  EXPECT_EQ(*d.parse("169.254.169.254:80,10.0.0.5:8000"), Indexes({0}));
  const auto elsewhere = d.parse("169.254.169.254:80,127.0.0.1:6379");
  ASSERT_FALSE(elsewhere.ok());
  EXPECT_EQ(elsewhere.error().code, ErrorCode::kInvalidValue);
  EXPECT_EQ(elsewhere.error().param, "x-gateway-destination-endpoint");
  EXPECT_EQ(elsewhere.error().message, "none of the 2 endpoints named is one of this gateway");
  EXPECT_FALSE(d.parse("10.0.0.5:8001").ok());  // another port
  EXPECT_EQ(d.parse("10.0.0.5:8000,evil.example:80").error().message,
            "endpoint 2 of the list is not ip:port");
  EXPECT_EQ(d.parse("").error().message, "endpoint 1 of the list is not ip:port");
  EXPECT_EQ(d.parse("10.0.0.5:8000,").error().message, "endpoint 2 of the list is not ip:port");
  EXPECT_FALSE(Destinations().parse("10.0.0.5:8000").ok());
}

TEST(GieTest, ListsAreBounded) {
  const Destinations d = some();
  std::string list = "10.0.0.5:8000";
  for (size_t i = 1; i < Destinations::kMaxNamed; ++i) list += ",10.0.0.9:80";
  EXPECT_TRUE(d.parse(list).ok());
  EXPECT_EQ(d.parse(list + ",10.0.0.9:80").error().code, ErrorCode::kLimit);
  EXPECT_EQ(d.parse(std::string(Destinations::kMaxBytes + 1, ' ')).error().code, ErrorCode::kLimit);
}

// Whatever a header holds: an error or indexes of configured endpoints.
TEST(GieTest, RandomBytesAreHarmless) {
  const Destinations d = some();
  const std::string_view pieces[] = {
      "10.0.0.5",      ":8000",           ",", "[", "]", "::1", "80", " ", "\xff",
      "10.0.0.6:8000", "[2001:db8::1]:80"};
  for (uint64_t seed = 0; seed < 3'000; ++seed) {
    Rng rng(seed);
    std::string value;
    for (uint64_t n = rng.below(8); n > 0; --n) value += pieces[rng.below(11)];
    const auto got = d.parse(value);
    if (!got.ok()) continue;
    EXPECT_FALSE(got->empty());
    for (const uint32_t i : *got) EXPECT_LT(i, 4U);
  }
}

}  // namespace
}  // namespace weir::gateway
