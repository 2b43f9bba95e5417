#include "ops/eval/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

class CacheTest : public ::testing::Test {
 protected:
  std::string path() const { return dir_.file("cache.jsonl"); }
  std::string bytes() const { return *os::read_file(path(), 1 << 20); }
  void write(const std::string& text) const {
    ASSERT_TRUE(os::write_file_atomic(path(), text).ok());
  }
  // Two answers, the second with scores.
  void fill() const {
    auto cache = ResultCache::open(path());
    ASSERT_TRUE(cache.ok()) << cache.error().message;
    ASSERT_TRUE(cache->put("k1", "task", "a", {"line\n\"two\"", 7, true, {}}).ok());
    ASSERT_TRUE(cache->put("k2", "task", "b", {"", 0, false, {{"acc", 1}, {"ll", -2.5}}}).ok());
  }
  os::TempDir dir_;
};

TEST_F(CacheTest, HoldsWhatWasPut) {
  fill();
  const auto cache = ResultCache::open(path());
  ASSERT_TRUE(cache.ok()) << cache.error().message;
  EXPECT_EQ(cache->size(), 2U);
  EXPECT_EQ(cache->cut_bytes(), 0U);
  ASSERT_NE(cache->find("k1"), nullptr);
  EXPECT_EQ(cache->find("k1")->text, "line\n\"two\"");
  EXPECT_EQ(cache->find("k1")->tokens, 7);
  EXPECT_TRUE(cache->find("k1")->cut);
  EXPECT_EQ(cache->find("k2")->scores, (EvalScores{{"acc", 1}, {"ll", -2.5}}));
  EXPECT_EQ(cache->find("k3"), nullptr);
}

TEST_F(CacheTest, ATornLineIsCutWhereverItEnds) {
  fill();
  const std::string whole = bytes();
  for (size_t n = 0; n <= whole.size(); ++n) {
    write(whole.substr(0, n));
    {
      auto cache = ResultCache::open(path());
      ASSERT_TRUE(cache.ok()) << n << cache.error().message;
      const size_t lines = static_cast<size_t>(std::count(whole.begin(), whole.begin() + n, '\n'));
      EXPECT_EQ(cache->size(), lines == 0 ? 0 : lines - 1) << n;
      ASSERT_TRUE(cache->put("k3", "t", "c", {"new", 1, false, {}}).ok());
    }
    const auto again = ResultCache::open(path());
    ASSERT_TRUE(again.ok()) << n << again.error().message;
    EXPECT_NE(again->find("k3"), nullptr) << n;
    EXPECT_EQ(again->cut_bytes(), 0U);
  }
}

TEST_F(CacheTest, OtherFilesAreRefused) {
  for (const std::string text : {"name: x\ntasks: []\n", "{}\n", "abc", "\n"}) {
    write(text);
    const auto cache = ResultCache::open(path());
    ASSERT_FALSE(cache.ok()) << text;
    EXPECT_THAT(cache.error().message, HasSubstr(":1: not a cache")) << text;
    EXPECT_EQ(bytes(), text);
  }
  write(R"({"format":"weir-eval-cache/1"})"
        "\n{\"key\":3}\n");
  const auto cache = ResultCache::open(path());
  ASSERT_FALSE(cache.ok());
  EXPECT_THAT(cache.error().message, HasSubstr(":2: a broken line"));
}

TEST_F(CacheTest, ScoresThatCannotBeAreRefused) {
  for (const std::string scores :
       {R"({"acc":2,"acc_norm":1,"ll":-1})", R"({"acc":1,"acc_norm":-0.5})", R"({"ll":1e300})",
        R"({"ll":"1"})", "[]", R"({"":1})"}) {
    write(R"({"format":"weir-eval-cache/1"})"
          "\n{\"key\":\"k\",\"text\":\"\",\"tokens\":0,\"scores\":" +
          scores + "}\n");
    const auto cache = ResultCache::open(path());
    ASSERT_FALSE(cache.ok()) << scores;
    EXPECT_THAT(cache.error().message, HasSubstr(":2: a broken line")) << scores;
  }
  write(R"({"format":"weir-eval-cache/1"})"
        "\n{\"key\":\"k\",\"text\":\"\",\"tokens\":-1}\n");
  EXPECT_FALSE(ResultCache::open(path()).ok());
}

TEST_F(CacheTest, ADeviceIsNoCache) {
  for (const char* device : {"/dev/null", "/dev/zero"}) {
    const auto cache = ResultCache::open(device);
    ASSERT_FALSE(cache.ok()) << device;
    EXPECT_THAT(cache.error().message, HasSubstr("is no file")) << device;
  }
}

TEST_F(CacheTest, OneProcessAtATime) {
  const auto first = ResultCache::open(path());
  ASSERT_TRUE(first.ok());
  const auto second = ResultCache::open(path());
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().message, HasSubstr("in use by another"));
}

TEST(CacheKeyTest, PartsDoNotRunTogether) {
  const auto key = [](std::vector<std::string> parts) { return cache_key(parts); };
  EXPECT_EQ(key({"a", "b"}), key({"a", "b"}));
  EXPECT_NE(key({"a", "b"}), key({"ab", ""}));
  EXPECT_NE(key({"a", "b"}), key({"a", "b", ""}));
  EXPECT_EQ(key({"a"}).size(), 32U);
}

}  // namespace
}  // namespace weir::ops
