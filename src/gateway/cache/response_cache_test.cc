#include "gateway/cache/response_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr int64_t kSecond = 1'000'000'000;
constexpr HashKey kSecret{1, 2};

Json parse(std::string_view text) {
  auto json = Json::parse(text);
  EXPECT_TRUE(json.ok()) << text;
  return *json;
}

const CacheScope kScope{"acme", "/v1/chat/completions", "m", "r1"};

Hash128 key(std::string_view request, const CacheScope& scope = kScope) {
  return request_key(kSecret, scope, parse(request));
}

StoredAnswer answer(const std::string& body, const std::string& tenant = "acme",
                    std::vector<std::string> tags = {}) {
  return {{tenant, kScope.route, kScope.model, kScope.release}, std::move(tags), body};
}

Hash128 number(uint64_t n) { return {n * 0x9E3779B97F4A7C15ULL, n}; }

TEST(RequestKey, OrderSpellingAndNeutralFieldsDoNotMatter) {
  const Hash128 plain = key(
      R"({"model":"m","temperature":0,"messages":[{"role":"user","content":"a"}],"stop":["x"]})");
  for (
      const char* same :
      {R"({"stop":["x"],"messages":[{"content":"a","role":"user"}],"temperature":0,"model":"m"})",
       R"({"model":"m","temperature":0.0,"messages":[{"role":"user","content":"\u0061"}],"stop":["x"]})",
       R"({"model":"m","temperature":-0.0,"messages":[{"role":"user","content":"a"}],"stop":["x"],
            "stream":true,"stream_options":{"include_usage":true},"user":"u","metadata":{"a":"b"},
            "store":false,"service_tier":"flex","priority":1,"safety_identifier":"s",
            "prompt_cache_key":"k","prompt_cache_retention":"24h","request_id":"r","seed":null})"})
    EXPECT_EQ(key(same), plain) << same;
}

// Each field that may change an answer changes the key, alone; so does each part of the scope.
TEST(RequestKey, EveryOtherFieldMatters) {
  const std::string base =
      R"("model":"m","temperature":0,"messages":[{"role":"user","content":"a"}])";
  std::set<Hash128> keys = {key("{" + base + "}")};
  size_t count = 1;
  for (const char* field : {R"("max_tokens":1)",
                            R"("max_tokens":2)",
                            R"("max_completion_tokens":1)",
                            R"("top_p":0.5)",
                            R"("top_k":1)",
                            R"("min_p":0.1)",
                            R"("n":2)",
                            R"("stop":"x")",
                            R"("stop":["x"])",
                            R"("stop":["x","y"])",
                            R"("stop":["y","x"])",
                            R"("seed":1)",
                            R"("logit_bias":{"1":5})",
                            R"("logit_bias":{"1":6})",
                            R"("logprobs":true)",
                            R"("top_logprobs":3)",
                            R"("presence_penalty":0.1)",
                            R"("frequency_penalty":0.1)",
                            R"("repetition_penalty":1.1)",
                            R"("response_format":{"type":"json_object"})",
                            R"("response_format":{"type":"text"})",
                            R"("tools":[{"type":"function","function":{"name":"f"}}])",
                            R"("tools":[{"type":"function","function":{"name":"g"}}])",
                            R"("tool_choice":"none")",
                            R"("parallel_tool_calls":false)",
                            R"("reasoning_effort":"low")",
                            R"("prediction":{"a":1})",
                            R"("cache_salt":"s")",
                            R"("guided_json":{})",
                            R"("echo":true)",
                            R"("suffix":"z")",
                            R"("chat_template_kwargs":{"enable_thinking":false})",
                            R"("unheard_of":1)",
                            R"("modalities":["text"])",
                            R"("prompt":"a")",
                            R"("input":"a")",
                            R"("web_search_options":{})"}) {
    keys.insert(key("{" + base + "," + field + "}"));
    ++count;
  }
  for (
      const char* whole :
      {R"({"model":"n","temperature":0,"messages":[{"role":"user","content":"a"}]})",
       R"({"model":"m","temperature":1,"messages":[{"role":"user","content":"a"}]})",
       R"({"model":"m","messages":[{"role":"user","content":"a"}]})",
       R"({"model":"m","temperature":0,"messages":[{"role":"user","content":"A"}]})",
       R"({"model":"m","temperature":0,"messages":[{"role":"user","content":"a "}]})",
       R"({"model":"m","temperature":0,"messages":[{"role":"system","content":"a"}]})",
       R"({"model":"m","temperature":0,"messages":[{"role":"user","content":"a","name":"b"}]})",
       R"({"model":"m","temperature":0,"messages":[{"role":"user","content":null}]})",
       R"({"model":"m","temperature":0,"messages":[{"role":"user"}]})",
       R"({"model":"m","temperature":0,"messages":[{"role":"user","content":"a"},{"role":"user","content":"a"}]})"}) {
    keys.insert(key(whole));
    ++count;
  }
  for (const CacheScope& scope :
       {CacheScope{"other", kScope.route, "m", "r1"},
        CacheScope{"acme", "/v1/completions", "m", "r1"},
        CacheScope{"acme", kScope.route, "n", "r1"}, CacheScope{"acme", kScope.route, "m", "r2"},
        CacheScope{"acme", kScope.route, "", "mr1"},
        CacheScope{"acm", "e" + kScope.route, "m", "r1"},
        CacheScope{"acme", kScope.route, "m", "", "r1"},
        CacheScope{"acme", kScope.route, "m", "", "", "r1"},
        CacheScope{"acme", kScope.route, "m", "r1", "x"},
        CacheScope{"acme", kScope.route, "m", "r1", "", "x"},
        CacheScope{"acme", kScope.route, "m", "r1", "", "", "x"},
        CacheScope{"acme", kScope.route, "m", "r1", "", "", "", "x"}}) {
    keys.insert(key("{" + base + "}", scope));
    ++count;
  }
  EXPECT_EQ(keys.size(), count);
  EXPECT_NE(request_key({1, 3}, kScope, parse("{}")), request_key(kSecret, kScope, parse("{}")));
}

TEST(RequestKey, OnlyTemperatureZeroOrByWish) {
  const auto may = [](const char* request, CacheWish wish = CacheWish::kDefault,
                      bool always = false) { return may_cache(parse(request), wish, always); };
  EXPECT_TRUE(may(R"({"temperature":0})"));
  EXPECT_TRUE(may(R"({"temperature":0.0})"));
  EXPECT_FALSE(may(R"({"temperature":0.01})"));
  EXPECT_FALSE(may(R"({"temperature":"0"})"));
  EXPECT_FALSE(may(R"({"temperature":null})"));
  EXPECT_FALSE(may("{}"));
  EXPECT_TRUE(may("{}", CacheWish::kOn));
  EXPECT_TRUE(may("{}", CacheWish::kRefresh));
  EXPECT_TRUE(may("{}", CacheWish::kDefault, true));
  EXPECT_FALSE(may(R"({"temperature":0})", CacheWish::kOff, true));
  EXPECT_EQ(*parse_cache_wish(""), CacheWish::kDefault);
  EXPECT_EQ(*parse_cache_wish("on"), CacheWish::kOn);
  EXPECT_EQ(*parse_cache_wish("off"), CacheWish::kOff);
  EXPECT_EQ(*parse_cache_wish("refresh"), CacheWish::kRefresh);
  EXPECT_FALSE(parse_cache_wish("yes").ok());
}

TEST(ResponseCache, FreshStaleGone) {
  ResponseCacheConfig c;
  c.ttl_ns = 10 * kSecond;
  c.stale_ns = 5 * kSecond;
  c.revalidate_ns = 2 * kSecond;
  ResponseCache cache(c);
  const Hash128 k = number(1);
  EXPECT_FALSE(cache.find(k, "acme", 0));
  ASSERT_TRUE(cache.store(k, answer("one"), kSecond));
  auto hit = cache.find(k, "acme", 10 * kSecond);
  ASSERT_TRUE(hit);
  EXPECT_EQ(hit->answer->body, "one");
  EXPECT_EQ(hit->age_ns, 9 * kSecond);
  EXPECT_FALSE(hit->stale || hit->revalidate);
  // From its end on it is stale, and one asker at a time fetches.
  hit = cache.find(k, "acme", 11 * kSecond);
  ASSERT_TRUE(hit);
  EXPECT_TRUE(hit->stale && hit->revalidate);
  EXPECT_FALSE(cache.find(k, "acme", 12 * kSecond)->revalidate);
  EXPECT_TRUE(cache.find(k, "acme", 13 * kSecond)->revalidate);  // it took too long
  EXPECT_FALSE(cache.find(k, "acme", 14 * kSecond)->revalidate);
  cache.revalidation_failed(k);
  EXPECT_TRUE(cache.find(k, "acme", 14 * kSecond)->revalidate);
  EXPECT_FALSE(cache.find(k, "acme", 16 * kSecond));
  EXPECT_EQ(cache.entries(), 0U);
  EXPECT_EQ(cache.bytes(), 0U);
  ASSERT_TRUE(cache.store(k, answer("two"), 20 * kSecond, kSecond));  // a time to live of its own
  EXPECT_FALSE(cache.find(k, "acme", 21 * kSecond - 1)->stale);
  EXPECT_TRUE(cache.find(k, "acme", 21 * kSecond)->stale);
  ASSERT_TRUE(cache.store(k, answer("three"), 21 * kSecond));
  EXPECT_EQ(cache.find(k, "acme", 30 * kSecond)->answer->body, "three");
  EXPECT_EQ(cache.counts().hits, 3U);
  EXPECT_EQ(cache.counts().stale_hits, 6U);
  EXPECT_EQ(cache.counts().misses, 2U);
  EXPECT_EQ(cache.counts().expired, 1U);
}

TEST(ResponseCache, NeverAcrossTenants) {
  ResponseCache cache({});
  Rng rng(1);
  const std::vector<std::string> tenants = {"a", "b", "ab", "", std::string("a\0b", 3)};
  for (int i = 0; i < 2000; ++i) {
    const std::string& tenant = tenants[rng.below(tenants.size())];
    const std::string request = fmt::format(R"({{"prompt":{}}})", rng.below(20));
    const CacheScope scope{tenant, "/v1/completions", "m", ""};
    const Hash128 k = key(request, scope);
    if (const auto hit = cache.find(k, tenant, 0)) {
      ASSERT_EQ(hit->answer->body, tenant + request);
      ASSERT_EQ(hit->answer->scope.tenant, tenant);
    } else {
      cache.store(k, {scope, {}, tenant + request}, 0);
    }
    // Not even with the key of another, however it was come by.
    for (const std::string& other : tenants) {
      if (other != tenant) {
        ASSERT_FALSE(cache.find(k, other, 0));
      }
    }
  }
}

TEST(ResponseCache, Invalidation) {
  ResponseCache cache({});
  int n = 0;
  const auto fill = [&] {
    for (const char* tenant : {"a", "b"}) {
      for (const char* model : {"m", "n"}) {
        for (const char* release : {"1", "2"}) {
          for (const char* tag : {"x", "y"})
            cache.store(number(++n), {{tenant, "/r", model, release}, {tag, "all"}, "body"}, 0);
        }
      }
    }
  };
  const auto gone = [&](InvalidateFilter f) {
    fill();
    const size_t count = cache.invalidate(f);
    EXPECT_EQ(cache.entries(), 16 - count);
    cache.invalidate({});
    EXPECT_EQ(cache.entries(), 0U);
    EXPECT_EQ(cache.bytes(), 0U);
    EXPECT_EQ(cache.tenants(), 0U);
    return count;
  };
  EXPECT_EQ(gone({}), 16U);
  EXPECT_EQ(gone({"a", {}, {}, {}}), 8U);
  EXPECT_EQ(gone({{}, "m", {}, {}}), 8U);
  EXPECT_EQ(gone({{}, {}, "2", {}}), 8U);
  EXPECT_EQ(gone({{}, {}, {}, "y"}), 8U);
  EXPECT_EQ(gone({{}, {}, {}, "all"}), 16U);
  EXPECT_EQ(gone({"a", "m", "1", "x"}), 1U);
  EXPECT_EQ(gone({"", {}, {}, {}}), 0U);
  EXPECT_EQ(gone({{}, {}, {}, "z"}), 0U);
}

// Random use never passes a bound, and the sums are those of what is there.
TEST(ResponseCache, BoundedInBytesEntriesAndByTenant) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    ResponseCacheConfig c;
    c.max_entries = 50;
    c.max_bytes = 60'000;
    c.max_answer_bytes = 5'000;
    c.stale_ns = 10;
    ResponseCache cache(c);
    Rng rng(seed);
    std::map<Hash128, std::string> owner;
    for (int64_t now = 0; now < 3'000; ++now) {
      const Hash128 k = number(rng.below(200));
      const std::string tenant = owner.contains(k) ? owner[k] : rng.below(3) == 0 ? "b" : "a";
      owner[k] = tenant;
      const auto hit = cache.find(k, tenant, now);
      const size_t size = rng.below(6'000);
      const bool stored =
          !hit && cache.store(k, answer(std::string(size, 'x'), tenant), now, 1 + rng.below(500));
      if (!hit) {
        ASSERT_EQ(stored, size <= 5'000);
      }
      if (stored) {
        ASSERT_TRUE(cache.find(k, tenant, now)) << "what was just stored is there";
      }
      ASSERT_LE(cache.entries(), 50U);
      ASSERT_LE(cache.bytes(), 60'000U);
    }
    EXPECT_GT(cache.counts().evicted, 100U);
    EXPECT_GT(cache.counts().too_big, 10U);
    const size_t a = cache.invalidate({"a", {}, {}, {}});
    const size_t b = cache.invalidate({"b", {}, {}, {}});
    EXPECT_GT(a, 3U);
    EXPECT_GT(b, 3U);
    EXPECT_EQ(cache.bytes() + cache.entries() + cache.tenants(), 0U);
  }
}

// One that stores without end takes all the room, and nothing from another that has less.
TEST(ResponseCache, WhoHasTheMostLosesFirst) {
  ResponseCacheConfig c;
  c.max_entries = 100;
  c.max_bytes = 100'000;
  ResponseCache cache(c);
  for (uint64_t i = 1000; i < 9000; ++i) cache.store(number(i), answer("b", "loud"), 0);
  EXPECT_EQ(cache.entries(), 100U);
  for (uint64_t i = 0; i < 40; ++i) cache.store(number(i), answer("b", "quiet"), 0);
  for (uint64_t i = 1000; i < 9000; ++i) cache.store(number(i), answer("b", "loud"), 0);
  for (uint64_t i = 0; i < 40; ++i) EXPECT_TRUE(cache.find(number(i), "quiet", 0));
  // Few big ones count as much as many small ones.
  for (uint64_t i = 20'000; i < 20'100; ++i)
    cache.store(number(i), answer(std::string(20'000, 'x'), "big"), 0);
  EXPECT_EQ(cache.invalidate({"quiet", {}, {}, {}}), 40U);
  EXPECT_GE(cache.invalidate({"big", {}, {}, {}}), 2U);
  // One that fills all of it is taken, whoever has the most.
  ASSERT_TRUE(cache.store(number(1), answer(std::string(99'000, 'x'), "new"), 0));
  EXPECT_TRUE(cache.find(number(1), "new", 0));
  EXPECT_EQ(cache.entries(), 1U);
}

// A burst that nobody repeats leaves what is asked for again.
TEST(ResponseCache, AScanDoesNotPushOutWhatIsUsed) {
  ResponseCacheConfig c;
  c.max_entries = 100;
  ResponseCache cache(c);
  for (uint64_t i = 0; i < 40; ++i) {
    cache.store(number(i), answer("b"), 0);
    EXPECT_TRUE(cache.find(number(i), "acme", 0));
  }
  for (uint64_t i = 1000; i < 5000; ++i) cache.store(number(i), answer("b"), 0);
  for (uint64_t i = 0; i < 40; ++i) EXPECT_TRUE(cache.find(number(i), "acme", 0)) << i;
  // But it gives way in the end: what was asked for is not kept for ever.
  for (uint64_t i = 5000; i < 5200; ++i) {
    cache.store(number(i), answer("b"), 0);
    cache.find(number(i), "acme", 0);
  }
  EXPECT_FALSE(cache.find(number(0), "acme", 0));
}

}  // namespace
}  // namespace weir::gateway
