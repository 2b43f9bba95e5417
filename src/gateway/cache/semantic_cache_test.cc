#include "gateway/cache/semantic_cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"
#include "gateway/cache/semantic_eval.h"

namespace weir::gateway {
namespace {

using text::Json;
using Vector = std::vector<float>;

constexpr HashKey kSecret{3, 4};
const CacheScope kScope{"acme", "/v1/chat/completions", "m", "r1"};

StoredAnswer answer(const std::string& body, const CacheScope& scope = kScope) {
  return {scope, {"t"}, body};
}

// In the plane, at an angle in degrees: the cosine of two is that of the difference.
Vector at(double degrees, float length = 1) {
  const double r = degrees * 3.14159265358979 / 180;
  return {length * static_cast<float>(std::cos(r)), length * static_cast<float>(std::sin(r))};
}

std::string found(SemanticCache& cache, const Vector& v, const CacheScope& scope = kScope,
                  const std::string& context = "c", int64_t now_ns = 0) {
  const auto hit = cache.find(scope, context, v, now_ns);
  EXPECT_TRUE(hit.ok());
  return hit.ok() && *hit ? (*hit)->answer->body : "";
}

TEST(SemanticCache, TheNearestAboveTheThreshold) {
  SemanticCacheConfig c;
  c.threshold = std::cos(10 * 3.14159265358979 / 180);
  SemanticCache cache(c, kSecret);
  ASSERT_TRUE(*cache.store("c", at(0), answer("zero"), 0));
  ASSERT_TRUE(*cache.store("c", at(15, 100), answer("fifteen"), 0));
  EXPECT_EQ(found(cache, at(0)), "zero");
  EXPECT_EQ(found(cache, at(-9.9)), "zero");
  EXPECT_EQ(found(cache, at(-10.1)), "");
  EXPECT_EQ(found(cache, at(7.4)), "zero");
  EXPECT_EQ(found(cache, at(7.6, 0.01F)), "fifteen");
  const auto hit = *cache.find(kScope, "c", at(5), 100);
  EXPECT_NEAR(hit->similarity, std::cos(5 * 3.14159265358979 / 180), 1e-6);
  EXPECT_EQ(hit->age_ns, 100);
}

TEST(SemanticCache, NeverAcrossTenantsModelsReleasesOrContexts) {
  SemanticCache cache({}, kSecret);
  ASSERT_TRUE(*cache.store("c", at(0), answer("mine"), 0));
  EXPECT_EQ(found(cache, at(0)), "mine");
  EXPECT_EQ(found(cache, at(0), {"other", kScope.route, "m", "r1"}), "");
  EXPECT_EQ(found(cache, at(0), {"acme", "/v1/completions", "m", "r1"}), "");
  EXPECT_EQ(found(cache, at(0), {"acme", kScope.route, "n", "r1"}), "");
  EXPECT_EQ(found(cache, at(0), {"acme", kScope.route, "m", "r2"}), "");
  EXPECT_EQ(found(cache, at(0), kScope, "d"), "");
}

TEST(SemanticCache, TheContextIsAllButTheLastUserText) {
  const auto ask = [](std::string_view text) { return semantic_question(*Json::parse(text)); };
  const char* base =
      R"({"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]})";
  ASSERT_TRUE(ask(base));
  EXPECT_EQ(ask(base)->text, "a");
  EXPECT_EQ(
      ask(base)->context,
      ask(R"({"stream":true,"messages":[{"content":"s","role":"system"},{"role":"user","content":"b"}],"model":"m"})")
          ->context);
  for (
      const char* other :
      {R"({"model":"n","messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]})",
       R"({"model":"m","messages":[{"role":"system","content":"z"},{"role":"user","content":"a"}]})",
       R"({"model":"m","messages":[{"role":"user","content":"a"}]})",
       R"({"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"user","content":"a"}]})",
       R"({"model":"m","max_tokens":5,"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]})",
       R"({"model":"m","tools":[],"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]})"})
    EXPECT_NE(ask(other)->context, ask(base)->context) << other;
  for (const char* none :
       {"{}", R"({"messages":[]})", R"({"messages":[{"role":"assistant","content":"a"}]})",
        R"({"messages":[{"role":"user","content":""}]})", R"({"messages":[{"role":"user"}]})",
        R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]})",
        R"({"prompt":"a"})"})
    EXPECT_FALSE(ask(none)) << none;
}

TEST(SemanticCache, VectorsAreChecked) {
  SemanticCache cache({}, kSecret);
  ASSERT_TRUE(*cache.store("c", at(0), answer("a"), 0));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  for (const Vector& bad :
       {Vector{}, Vector{0, 0}, Vector{nan, 1}, Vector{inf, 1}, Vector(8193, 1)}) {
    EXPECT_FALSE(cache.find(kScope, "c", bad, 0).ok());
    EXPECT_FALSE(cache.store("c", bad, answer("b"), 0).ok());
  }
  EXPECT_FALSE(cache.store("c", Vector{1, 0, 0}, answer("b"), 0).ok());
  EXPECT_FALSE(cache.find(kScope, "c", Vector{1, 0, 0}, 0)->has_value());
  Rng rng(1);
  for (size_t size : {1U, 15U, 16U, 17U, 384U, 1000U}) {
    Vector a(size);
    Vector b(size);
    double sum = 0;
    for (size_t i = 0; i < size; ++i) {
      a[i] = static_cast<float>(rng.unit() - 0.5);
      b[i] = static_cast<float>(rng.unit() - 0.5);
      sum += static_cast<double>(a[i]) * b[i];
    }
    EXPECT_NEAR(dot(a, b), sum, 1e-4) << size;
  }
}

TEST(SemanticCache, BoundedAndForgetful) {
  SemanticCacheConfig c;
  c.max_entries = 60;
  c.max_context_entries = 20;
  c.max_bytes = 60'000;
  c.max_answer_bytes = 3'000;
  c.ttl_ns = 500;
  SemanticCache cache(c, kSecret);
  Rng rng(5);
  for (int64_t now = 0; now < 3'000; ++now) {
    const CacheScope scope{rng.below(4) == 0 ? "b" : "a", "/r", "m", ""};
    const std::string context = std::to_string(rng.below(3));
    const size_t size = rng.below(3'200);
    const auto stored =
        cache.store(context, at(rng.unit() * 360), answer(std::string(size, 'x'), scope), now);
    ASSERT_TRUE(stored.ok());
    ASSERT_EQ(*stored, size <= 3'000);
    ASSERT_LE(cache.entries(), 60U);
    ASSERT_LE(cache.bytes(), 60'000U);
  }
  EXPECT_GT(cache.evicted(), 1'000U);
  SemanticCache one(c, kSecret);
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(*one.store("c", at(i), answer("x"), 0));
  EXPECT_EQ(one.entries(), 20U);
  EXPECT_EQ(found(one, at(24)), "x");
  const size_t before = cache.entries();
  const size_t of_b = cache.invalidate({"b", {}, {}, {}});
  EXPECT_EQ(cache.entries(), before - of_b);
  EXPECT_LE(cache.entries(), 30U) << "half is the most of one tenant";
  EXPECT_EQ(found(cache, at(0), kScope, "c", 10'000), "");  // everything is too old
  EXPECT_EQ(cache.entries() + cache.bytes() + cache.contexts(), 0U);
  ASSERT_TRUE(*cache.store("c", at(0), answer("x"), 10'000));
  EXPECT_EQ(found(cache, at(0), kScope, "c", 10'499), "x");
  EXPECT_EQ(cache.invalidate({{}, {}, {}, "t"}), 1U);
  EXPECT_EQ(found(cache, at(0), kScope, "c", 10'499), "");
}

LabelledPair pair(double degrees, bool same) { return {at(0), at(degrees, 2), same}; }

TEST(SemanticEval, RatesByThreshold) {
  const std::vector<LabelledPair> pairs = {pair(0, true),   pair(10, true),  pair(20, true),
                                           pair(40, true),  pair(15, false), pair(30, false),
                                           pair(90, false), pair(90, false)};
  const std::vector<double> thresholds = {0.5, 0.93, 0.95, 0.98, 0.9999999};
  const auto eval = evaluate_thresholds(pairs, thresholds);
  ASSERT_TRUE(eval.ok());
  EXPECT_EQ(eval->same, 4U);
  EXPECT_EQ(eval->different, 4U);
  const auto row = [&](size_t i) {
    const ThresholdRow& r = eval->rows[i];
    return std::vector<double>{static_cast<double>(r.hits), static_cast<double>(r.false_hits),
                               r.hit_rate, r.false_hit_rate, r.wrong_share};
  };
  EXPECT_EQ(row(0), (std::vector<double>{6, 2, 1, 0.5, 2.0 / 6}));
  EXPECT_EQ(row(1), (std::vector<double>{4, 1, 0.75, 0.25, 0.25}));
  EXPECT_EQ(row(2), (std::vector<double>{3, 1, 0.5, 0.25, 1.0 / 3}));
  EXPECT_EQ(row(3), (std::vector<double>{2, 0, 0.5, 0, 0}));
  EXPECT_EQ(row(4), (std::vector<double>{1, 0, 0.25, 0, 0}));
  // Wilson, 95 %: 0 of 4 is at most 0.4899, 1 of 4 at most 0.6994.
  EXPECT_NEAR(eval->rows[3].false_hit_rate_upper, 0.4899, 1e-4);
  EXPECT_NEAR(eval->rows[2].false_hit_rate_upper, 0.6994, 1e-4);
  EXPECT_EQ(choose_threshold(*eval, 0.5), 0.98);
  EXPECT_EQ(choose_threshold(*eval, 0.7), 0.93);
  EXPECT_FALSE(choose_threshold(*eval, 0.4));
  EXPECT_NE(semantic_eval_table(*eval, 0.5).find("threshold: 0.98"), std::string::npos);
  EXPECT_NE(semantic_eval_table(*eval, 0.01).find("48.99% at best"), std::string::npos);
  EXPECT_EQ(usual_thresholds().size(), 31U);
  EXPECT_FALSE(evaluate_thresholds(std::vector{pair(0, true)}, thresholds).ok());
  EXPECT_FALSE(evaluate_thresholds(std::vector{pair(0, false)}, thresholds).ok());
  EXPECT_FALSE(
      evaluate_thresholds(std::vector{pair(0, true), {{1, 0, 0}, {1, 0}, false}}, thresholds).ok());
}

TEST(SemanticEval, PairsAreReadByLine) {
  const auto pairs = parse_labelled_pairs(
      "{\"a\":[1,0],\"b\":[0.5,-1e0],\"same\":true}\n\n{\"same\":false,\"b\":[1],\"a\":[2]}");
  ASSERT_TRUE(pairs.ok()) << pairs.error().message;
  ASSERT_EQ(pairs->size(), 2U);
  EXPECT_EQ((*pairs)[0].b, (Vector{0.5F, -1}));
  EXPECT_TRUE((*pairs)[0].same && !(*pairs)[1].same);
  for (const char* bad : {"x", "{}", "[]", R"({"a":[1],"b":[1]})", R"({"a":[1],"b":1,"same":true})",
                          R"({"a":["1"],"b":[1],"same":true})", R"({"a":[1],"b":[1],"same":1})"}) {
    const auto refused = parse_labelled_pairs("\n" + std::string(bad));
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(refused.error().message.rfind("line 2: ", 0), 0U) << refused.error().message;
  }
}

TEST(SemanticEval, TextsAreEmbeddedEachOnce) {
  size_t asked = 0;
  const Embedder embedder = [&asked](const std::vector<std::string>& texts) {
    asked += texts.size();
    std::vector<std::vector<float>> out;
    for (const std::string& t : texts) out.push_back({static_cast<float>(t.size()), 1});
    return Result<std::vector<std::vector<float>>>(std::move(out));
  };
  const std::string lines = R"({"a":"one","b":"two","same":true})"
                            "\n"
                            R"({"a":"one","b":[1,2],"same":false})";
  const auto pairs = parse_labelled_pairs(lines, embedder);
  ASSERT_TRUE(pairs.ok()) << pairs.error().message;
  EXPECT_EQ(asked, 2u);
  EXPECT_EQ((*pairs)[0].a, (std::vector<float>{3, 1}));
  EXPECT_EQ((*pairs)[1].b, (std::vector<float>{1, 2}));
  const auto without = parse_labelled_pairs(lines);
  ASSERT_FALSE(without.ok());
  EXPECT_EQ(without.error().code, ErrorCode::kUsage);
}

TEST(SemanticEval, EmbeddingsComeInTheOrderOfTheTexts) {
  const auto read =
      read_embeddings(R"({"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]})", 2);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ((*read)[0], std::vector<float>{1});
  for (const char* bad : {"[]", "{}", R"({"data":[1,2]})", R"({"data":[{"embedding":[1]}]})",
                          R"({"data":[{"index":7,"embedding":[1]},{"embedding":[1]}]})"})
    EXPECT_FALSE(read_embeddings(bad, 2).ok()) << bad;
}

}  // namespace
}  // namespace weir::gateway
