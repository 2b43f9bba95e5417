#include "ops/imatrix/importance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "gguf/writer.h"
#include "ops/imatrix/collect.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ImportanceMatrix sample() {
  ImportanceMatrix m;
  m.entries = {{"blk.0.attn_q.weight", {2, 4, 6}, {2}, {1, 2, 3}},
               {"blk.0.ffn_up_exps.weight", {1, 2, 0, 0, 9, 9}, {1, 0, 3}}};
  m.datasets = {"a.txt", "b.txt"};
  m.chunks = 7;
  m.chunk_tokens = 512;
  m.windows = TextWindows{std::string(32, 'a'), 10, {1, 2}};
  return m;
}

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

// A .dat of one entry.
std::string dat(const std::vector<float>& values, int32_t calls) {
  std::string out;
  put(out, int32_t{1});
  put(out, int32_t{3});
  out += "abc";
  put(out, calls);
  put(out, static_cast<int32_t>(values.size()));
  for (const float v : values) put(out, v);
  put(out, int32_t{40});
  put(out, int32_t{5});
  out += "d.txt";
  return out;
}

Result<ImportanceMatrix> parse(const std::string& text) {
  return parse_imatrix_dat(std::as_bytes(std::span(text.data(), text.size())), "x.dat");
}

TEST(Importance, LargestInputsAreKeptAndMissed) {
  const os::TempDir folder;
  ASSERT_TRUE(write_imatrix(sample(), folder.file("m")).ok());
  const auto back = read_imatrix(folder.file("m"));
  ASSERT_TRUE(back.ok()) << back.error().message;
  const auto largest = largest_inputs(*back->find("blk.0.attn_q.weight"), 3);
  ASSERT_TRUE(largest.ok());
  EXPECT_THAT(*largest, ElementsAre(1, 2, 3));
  EXPECT_THAT(largest_inputs(*back->find("blk.0.attn_q.weight"), 4).error().message,
              HasSubstr("another model"));
  EXPECT_THAT(largest_inputs(*back->find("blk.0.ffn_up_exps.weight"), 2).error().message,
              HasSubstr("collect it anew"));
  ImportanceMatrix wrong = sample();
  wrong.entries[0].largest[1] = -1;
  ASSERT_TRUE(write_imatrix(wrong, folder.file("m")).ok());
  EXPECT_THAT(read_imatrix(folder.file("m")).error().message, HasSubstr("magnitude"));
}

TEST(Importance, LargestKeysAndValuesAreKept) {
  const os::TempDir folder;
  ImportanceMatrix m = sample();
  m.cache = {{0, {1, 2}, {3, 4}}, {11, {5, 6}, {7, 0}}};
  ASSERT_TRUE(write_imatrix(m, folder.file("m")).ok());
  const auto back = read_imatrix(folder.file("m"));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->entries.size(), 2U);
  ASSERT_EQ(back->cache.size(), 2U);
  EXPECT_EQ(back->cached(1), nullptr);
  ASSERT_NE(back->cached(11), nullptr);
  EXPECT_THAT(back->cached(11)->keys, ElementsAre(5, 6));
  EXPECT_THAT(back->cached(11)->values, ElementsAre(7, 0));
  m.cache[1].values[0] = std::numeric_limits<float>::infinity();
  ASSERT_TRUE(write_imatrix(m, folder.file("m")).ok());
  EXPECT_THAT(read_imatrix(folder.file("m")).error().message, HasSubstr("blk.11.v_cache.largest"));
}

TEST(Importance, KeysWithoutValuesAreRefused) {
  const os::TempDir folder;
  gguf::Writer writer;
  writer.set_string("general.type", "imatrix");
  const std::vector<float> one = {1};
  const uint64_t shape[] = {1};
  for (const char* name :
       {"a.in_sum2", "a.counts", "blk.3.k_cache.largest", "blk.x.k_cache.largest"})
    writer.add_tensor(name, gguf::TensorType::kF32, shape, std::as_bytes(std::span(one)));
  ASSERT_TRUE(writer.write_file(folder.file("m")).ok());
  EXPECT_THAT(read_imatrix(folder.file("m")).error().message, HasSubstr("blk.3.v_cache.largest"));
}

TEST(Importance, SumsHaveTheLargestKeysAndValuesOfBoth) {
  ImportanceMatrix sum = sample(), more = sample();
  sum.cache = {{0, {1, 9}, {3, 4}}};
  more.cache = {{0, {2, 3}, {3, 5}}};
  ASSERT_TRUE(add_importance(sum, more).ok());
  EXPECT_THAT(sum.cache[0].keys, ElementsAre(2, 9));
  EXPECT_THAT(sum.cache[0].values, ElementsAre(3, 5));
  more.cache[0].keys.push_back(1);
  EXPECT_THAT(add_importance(sum, more).error().message, HasSubstr("different models"));
  more.cache.clear();  // of another tool
  ASSERT_TRUE(add_importance(sum, more).ok());
  EXPECT_TRUE(sum.cache.empty());
}

TEST(Importance, ExpertsHaveTheirOwnInputsOrThoseOfAll) {
  ImportanceEntry e{"blk.0.ffn_up_exps.weight", {1, 2, 0, 0, 9, 12}, {1, 0, 3}, {1, 2, 0, 0, 5, 4}};
  const auto last = expert_inputs(e, 2, 2);
  ASSERT_TRUE(last.ok());
  EXPECT_THAT(last->means, ElementsAre(3, 4));
  EXPECT_EQ(last->largest, 5);
  EXPECT_TRUE(last->seen);
  const auto unseen = expert_inputs(e, 1, 2);
  ASSERT_TRUE(unseen.ok());
  EXPECT_THAT(unseen->means, ElementsAre(2.5F, 3.5F));
  EXPECT_EQ(unseen->largest, 5);
  EXPECT_FALSE(unseen->seen);
  EXPECT_EQ(expert_inputs(e, 3, 2).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(expert_inputs(e, 0, 4).error().code, ErrorCode::kCorrupt);
  e.counts = {2};  // of a .dat: one for all
  e.largest.clear();
  EXPECT_THAT(expert_inputs(e, 2, 2)->means, ElementsAre(4.5F, 6));
  EXPECT_EQ(expert_inputs(e, 2, 2)->largest, 0);
  e.counts = {0};
  EXPECT_THAT(expert_inputs(e, 2, 2)->means, ElementsAre(1, 1));
}

TEST(Importance, ReadsWhatItWrote) {
  const os::TempDir folder;
  ASSERT_TRUE(write_imatrix(sample(), folder.file("m")).ok());
  const auto back = read_imatrix(folder.file("m"));
  ASSERT_TRUE(back.ok()) << back.error().message;
  ASSERT_EQ(back->entries.size(), 2U);
  EXPECT_EQ(back->chunks, 7U);
  EXPECT_EQ(back->chunk_tokens, 512U);
  EXPECT_THAT(back->datasets, ElementsAre("a.txt", "b.txt"));
  EXPECT_NE(back->hash, Hash128());
  ASSERT_TRUE(back->windows);
  EXPECT_THAT(back->windows->hashes, ElementsAre(1, 2));
  const ImportanceEntry* e = back->find("blk.0.ffn_up_exps.weight");
  ASSERT_NE(e, nullptr);
  EXPECT_EQ(e->unseen(), 1U);
  std::vector<float> means;
  ASSERT_TRUE(mean_squares(*e, 2, 3, means).ok());
  EXPECT_THAT(means, ElementsAre(1, 2, 1, 1, 3, 3));  // nothing seen: all alike
  EXPECT_EQ(back->find("blk.1.attn_q.weight"), nullptr);
}

TEST(Importance, OfAnotherModelDoesNotFit) {
  const ImportanceMatrix m = sample();
  std::vector<float> means;
  EXPECT_EQ(mean_squares(m.entries[0], 4, 1, means).error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(mean_squares(m.entries[1], 3, 2, means).error().message,
              HasSubstr("another model"));  // as many values, other shape
}

TEST(Importance, ReadsTheOlderFormat) {
  const auto m = parse(dat({2, 4}, 2));
  ASSERT_TRUE(m.ok()) << m.error().message;
  EXPECT_EQ(m->chunks, 40U);
  EXPECT_THAT(m->datasets, ElementsAre("d.txt"));
  std::vector<float> means;
  ASSERT_TRUE(mean_squares(*m->find("abc"), 2, 1, means).ok());
  EXPECT_THAT(means, ElementsAre(1, 2));
  ASSERT_TRUE(mean_squares(*parse(dat({2, 4}, 0))->find("abc"), 2, 1, means).ok());
  EXPECT_THAT(means, ElementsAre(2, 4));  // no calls: means already
}

TEST(Importance, RefusesWhatIsCutOrNoSum) {
  const std::string good = dat({2, 4}, 2);
  // Whole are the entries alone, those with the chunks, and all.
  const size_t entries = 4 + 4 + 3 + 4 + 4 + 8;
  for (size_t n = 0; n < good.size(); ++n) {
    const auto m = parse(good.substr(0, n));
    if (n == entries || n == entries + 4) {
      EXPECT_TRUE(m.ok()) << n;
      continue;
    }
    ASSERT_FALSE(m.ok()) << n;
    EXPECT_EQ(m.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(m.error().message, HasSubstr("x.dat: "));
  }
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -1.0F, std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(parse(dat({1, bad}, 1)).error().message, HasSubstr("no sum of squares"));
  }
  const int32_t most = std::numeric_limits<int32_t>::max();
  for (const size_t at : {size_t{0}, size_t{4}, size_t{15}}) {
    std::string text = good;
    std::memcpy(text.data() + at, &most, sizeof most);
    EXPECT_EQ(parse(text).error().code, ErrorCode::kCorrupt) << at;
    const int32_t negative = -1;
    std::memcpy(text.data() + at, &negative, sizeof negative);
    EXPECT_EQ(parse(text).error().code, ErrorCode::kCorrupt) << at;
  }
}

TEST(Importance, RefusesAnotherKindOfFile) {
  const os::TempDir folder;
  EXPECT_EQ(read_imatrix(folder.file("none")).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(
      os::write_file_atomic(folder.file("text"), std::string_view("hello, this is text")).ok());
  EXPECT_EQ(read_imatrix(folder.file("text")).error().code, ErrorCode::kCorrupt);
  ImportanceMatrix twice = sample();
  twice.entries[1] = twice.entries[0];
  EXPECT_FALSE(write_imatrix(twice, folder.file("twice")).ok());
  ImportanceMatrix empty;
  ASSERT_TRUE(write_imatrix(empty, folder.file("empty")).ok());
  EXPECT_THAT(read_imatrix(folder.file("empty")).error().message, HasSubstr("no importance"));
}

}  // namespace
}  // namespace weir::ops
