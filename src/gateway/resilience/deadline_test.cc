// Whose time counts, what an attempt gets of it, what is passed on.
#include "gateway/resilience/deadline.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;

int64_t client_ms(const http::Headers& headers) {
  const auto result = client_deadline_ms(headers);
  EXPECT_TRUE(result.ok());
  return result.ok() ? result->value_or(0) : -1;
}

TEST(DeadlineTest, WhatTheClientSays) {
  EXPECT_EQ(client_ms({}), 0);
  EXPECT_EQ(client_ms({{"X-Weir-Deadline-Ms", "1500"}}), 1500);
  EXPECT_EQ(client_ms({{"x-envoy-expected-rq-timeout-ms", "900"}}), 900);
  EXPECT_EQ(client_ms({{"x-portkey-request-timeout", "800"}}), 800);
  EXPECT_EQ(client_ms({{"x-litellm-timeout", "2.5"}}), 2500);
  // The shortest of them, whatever their order.
  EXPECT_EQ(client_ms({{"x-litellm-timeout", "3"}, {"x-weir-deadline-ms", "5000"}}), 3000);
  EXPECT_EQ(client_ms({{"x-weir-deadline-ms", "500"}, {"x-litellm-timeout", "3"}}), 500);
  EXPECT_EQ(client_ms({{"x-request-timeout", "3"}}), 0);
  // Others' headers, malformed, are nothing.
  for (const char* text : {"", "soon", "-1", "0", "nan", "inf", "1e3", "99999999999", "5 s"})
    EXPECT_EQ(client_ms({{"x-litellm-timeout", text}}), 0) << text;
}

TEST(DeadlineTest, ItsOwnHeaderMalformedIsAnError) {
  for (const char* text : {"", "soon", "0", "-1", "1.5", "86400001", "99999999999999999999"}) {
    const auto result = client_deadline_ms({{"x-weir-deadline-ms", text}});
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidValue);
    EXPECT_EQ(result.error().param, "x-weir-deadline-ms");
    EXPECT_NE(result.error().message.find("between 1 and 86400000"), std::string::npos);
  }
}

TEST(DeadlineTest, HeadersOfThisHop) {
  for (const char* name :
       {"X-Weir-Deadline-Ms", "x-envoy-expected-rq-timeout-ms", "x-envoy-upstream-rq-timeout-ms",
        "X-Portkey-Request-Timeout", "x-litellm-timeout", "x-litellm-stream-timeout"})
    EXPECT_TRUE(is_deadline_header(name)) << name;
  EXPECT_FALSE(is_deadline_header("x-request-id"));
}

TEST(DeadlineTest, TheEarlierOfClientAndRoute) {
  const RouteTimeouts route{.total_ms = 1000};
  EXPECT_EQ(request_deadline(500, route, 7 * kMs).at_ns, 507 * kMs);
  EXPECT_TRUE(request_deadline(500, route, 0).of_client());
  EXPECT_EQ(request_deadline(5000, route, 0).at_ns, 1000 * kMs);
  EXPECT_FALSE(request_deadline(5000, route, 0).of_client());
  EXPECT_FALSE(request_deadline({}, route, 0).of_client());
  EXPECT_TRUE(request_deadline(5000, {.total_ms = 0}, 0).of_client());
  const Deadline none = request_deadline({}, {.total_ms = 0}, 0);
  EXPECT_EQ(none.at_ns, 0);
  EXPECT_FALSE(none.passed(INT64_MAX));
  EXPECT_EQ(remaining_ms(none, 0), 0);
  const Deadline at{.at_ns = 100 * kMs, .client_ms = 100};
  EXPECT_EQ(remaining_ms(at, 40 * kMs), 60);
  EXPECT_EQ(remaining_ms(at, 200 * kMs), 1);
  EXPECT_TRUE(at.passed(100 * kMs));
  EXPECT_FALSE(at.passed(99 * kMs));
}

TEST(DeadlineTest, AnAttemptsShare) {
  const RouteTimeouts route{.connect_ms = 2000, .first_byte_ms = 60'000, .idle_ms = 30'000};
  const Deadline at{.at_ns = 10'000 * kMs, .client_ms = 10'000};
  // More attempts are left: half of what remains, each time.
  auto t = attempt_timeouts(route, at, 0, 3, true);
  EXPECT_EQ(t.client.first_byte.count(), 5000);
  EXPECT_EQ(t.client.total.count(), 10'000);
  EXPECT_EQ(t.client.connect.count(), 2000);
  EXPECT_EQ(t.client.idle.count(), 30'000);
  EXPECT_TRUE(t.first_byte_by_deadline);
  EXPECT_TRUE(t.total_by_deadline);
  t = attempt_timeouts(route, at, 5000 * kMs, 2, true);
  EXPECT_EQ(t.client.first_byte.count(), 2500);
  // The last one gets what is left, and so does an answer that is no stream.
  EXPECT_EQ(attempt_timeouts(route, at, 7500 * kMs, 1, true).client.first_byte.count(), 2500);
  EXPECT_EQ(attempt_timeouts(route, at, 0, 3, false).client.first_byte.count(), 10'000);
  // Shares are not split into nothing.
  EXPECT_EQ(attempt_timeouts(route, at, 8500 * kMs, 2, true).client.first_byte.count(), 1000);
  EXPECT_EQ(attempt_timeouts(route, at, 9500 * kMs, 2, true).client.first_byte.count(), 500);
  EXPECT_EQ(attempt_timeouts(route, at, 9500 * kMs, 2, true).client.connect.count(), 500);
  // The route's own bound is shorter: the endpoint's fault.
  t = attempt_timeouts({.first_byte_ms = 1000}, at, 0, 3, true);
  EXPECT_EQ(t.client.first_byte.count(), 1000);
  EXPECT_FALSE(t.first_byte_by_deadline);
  // A deadline of the route is not the client's.
  t = attempt_timeouts(route, {.at_ns = 10'000 * kMs}, 0, 1, true);
  EXPECT_FALSE(t.first_byte_by_deadline);
  EXPECT_FALSE(t.total_by_deadline);
  // Without any: the route's.
  t = attempt_timeouts(route, {}, 0, 3, true);
  EXPECT_EQ(t.client.first_byte.count(), 60'000);
  EXPECT_EQ(t.client.total.count(), 0);
}

}  // namespace
}  // namespace weir::gateway
