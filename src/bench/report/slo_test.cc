#include "bench/report/slo.h"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

TEST(ParseSlo, ReadsEveryKeyInMillisecondsOrSeconds) {
  const auto slo = parse_slo("ttft=500ms,itl=50ms,itl_max=0.2s,tpot=40ms,e2e=10s,share=99%");
  ASSERT_TRUE(slo.ok()) << slo.error().message;
  EXPECT_EQ(slo->ttft_ms, 500);
  EXPECT_EQ(slo->itl_ms, 50);
  EXPECT_EQ(slo->itl_max_ms, 200);
  EXPECT_EQ(slo->tpot_ms, 40);
  EXPECT_EQ(slo->e2e_ms, 10'000);
  EXPECT_EQ(slo->share, 0.99);
  EXPECT_EQ(*parse_slo(slo_text(*slo)), *slo);
  EXPECT_FALSE(parse_slo("")->any());
  EXPECT_EQ(slo_text({}), "");
}

TEST(ParseSlo, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"ttft=500", "'ttft=500' has no unit; write 500ms or 500s"},
      {"ttft=5m", "has the unit 'm'; the units are ms and s"},
      {"ttft=", "has no number after '='"},
      {"ttft=fast", "has no number after '='"},
      {"ttft=-1ms", "must be above 0"},
      {"ttft=0s", "must be above 0"},
      {"ttft=nanms", "has no number"},
      {"ttft=1e9s", "at most a day"},
      {"ttfb=1s", "'ttfb=1s' is no bound; write KEY=VALUE with the keys ttft"},
      {"ttft", "'ttft' is no bound"},
      {"ttft=1s,", "'' is no bound"},
      {"ttft=1s,ttft=2s", "ttft is given twice"},
      {"ttft=1s,share=1.5", "must be a share above 0 and at most 1"},
      {"ttft=1s,share=95", "must be a share"},
      {"share=0.9", "share needs a bound"},
  };
  for (const auto& [text, want] : cases) {
    const auto slo = parse_slo(text);
    ASSERT_FALSE(slo.ok()) << text;
    EXPECT_EQ(slo.error().code, ErrorCode::kUsage);
    EXPECT_NE(slo.error().message.find(want), std::string::npos) << slo.error().message;
  }
}

RequestRecord good_request() {
  RequestRecord r;
  r.intended_s = 1;
  r.sent_s = 1.2;
  r.first_token_s = 1.4;  // TTFT 400 ms, from the intended time
  r.gaps_ms.assign(39, 10.0F);
  r.gaps_ms.back() = 100.0F;  // the p95 of 39 gaps stays 10
  r.output_tokens = 40;       // TPOT 480 / 39 ms
  r.end_s = 1.9;
  return r;
}

TEST(Meets, HoldsEachBoundAlone) {
  const RequestRecord r = good_request();
  const auto at = [&](const char* slo) { return meets(r, *parse_slo(slo)); };
  EXPECT_TRUE(meets(r, {}));
  EXPECT_TRUE(at("ttft=401ms"));
  EXPECT_FALSE(at("ttft=399ms"));
  EXPECT_TRUE(at("itl=10ms"));
  EXPECT_FALSE(at("itl=9.9ms"));
  EXPECT_TRUE(at("itl_max=100ms"));
  EXPECT_FALSE(at("itl_max=99ms"));
  EXPECT_TRUE(at("tpot=12.4ms"));
  EXPECT_FALSE(at("tpot=12.2ms"));
  EXPECT_TRUE(at("e2e=901ms"));
  EXPECT_FALSE(at("e2e=899ms"));
}

TEST(Meets, WhatDidNotEndWellDoesNot) {
  RequestRecord r = good_request();
  r.outcome = Outcome::kRejected;
  EXPECT_FALSE(meets(r, {}));
  EXPECT_FALSE(meets(r, *parse_slo("ttft=1s")));
  RequestRecord silent = good_request();
  silent.first_token_s = -1;
  EXPECT_FALSE(meets(silent, *parse_slo("ttft=10s")));
}

}  // namespace
}  // namespace weir::bench
