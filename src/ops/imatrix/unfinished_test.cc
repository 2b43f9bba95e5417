#include "ops/imatrix/unfinished.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "kernels/thread_pool.h"
#include "ops/eval/fingerprint.h"
#include "ops/imatrix/keeper.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using model::MatrixInput;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const RunFingerprint kRun = {{"the model", "m"}, {"the text", "t"}};

CollectedSums sample() {
  CollectedSums s;
  s.chunks = 7;
  s.inputs[{0, MatrixInput::kAttention}] = {3, {0.1, 2, 1e300}, {5}, {1, 2, 3}};
  s.inputs[{1, MatrixInput::kExpert}] = {2, {1, 2, 3, 4}, {2, 0}, {4, 5, 6, 7}};
  kernels::ThreadPool pool(1);
  const float x[] = {1, 2, 3, 4, 5, 6};
  s.moments.try_emplace({0, MatrixInput::kAttention}, 3).first->second.add(x, 3, 2, pool);
  s.cache[4] = {4, {1, 2}, {3}};
  return s;
}

// The bytes of a file as it is written; no sync, for many of them.
void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string written(const CollectedSums& sums, const std::string& path) {
  EXPECT_TRUE(write_unfinished(sums, kRun, path).ok());
  return os::read_file(path, 1 << 20).value();
}

// With the checksum that fits them, which damage never has.
std::string with_hash(std::string bytes) {
  bytes.resize(bytes.size() - 16);
  const auto piece = text_hash(bytes).bytes();
  const auto all = bytes_hash(piece).bytes();
  return bytes.append(reinterpret_cast<const char*>(all.data()), all.size());
}

TEST(Unfinished, ComesBackToTheBit) {
  const os::TempDir folder;
  const CollectedSums sums = sample();
  const std::string bytes = written(sums, folder.file("f"));
  const auto back = read_unfinished(folder.file("f"), kRun);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->chunks, 7);
  ASSERT_EQ(back->inputs.size(), 2U);
  const InputSums& experts = back->inputs.at({1, MatrixInput::kExpert});
  EXPECT_EQ(experts.cols, 2U);
  EXPECT_THAT(experts.squares, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(experts.counts, ElementsAre(2, 0));
  EXPECT_THAT(experts.largest, ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(back->inputs.at({0, MatrixInput::kAttention}).squares, ElementsAre(0.1, 2, 1e300));
  ASSERT_EQ(back->moments.size(), 1U);
  std::vector<float> means, before;
  back->moments.at({0, MatrixInput::kAttention}).means(means);
  sums.moments.at({0, MatrixInput::kAttention}).means(before);
  EXPECT_EQ(means, before);
  EXPECT_THAT(means, ElementsAre(8.5F, 11, 14.5F, 13.5F, 18, 22.5F));
  ASSERT_EQ(back->cache.size(), 1U);
  EXPECT_EQ(back->cache.at(4).layer, 4);
  EXPECT_THAT(back->cache.at(4).keys, ElementsAre(1, 2));
  EXPECT_THAT(back->cache.at(4).values, ElementsAre(3));
  EXPECT_EQ(written(*back, folder.file("g")), bytes);
}

TEST(Unfinished, MomentsGoOnToTheSameBits) {
  const os::TempDir folder;
  kernels::ThreadPool pool(2);
  std::vector<float> x(70 * 12);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1.0F / static_cast<float>(3 + i);
  const InputKey key{0, MatrixInput::kDown};
  CollectedSums whole, half;
  MomentSums& all = whole.moments.try_emplace(key, 70).first->second;
  all.add(x.data(), 70, 7, pool);
  half.moments.try_emplace(key, 70).first->second.add(x.data(), 70, 7, pool);
  written(half, folder.file("f"));
  auto back = read_unfinished(folder.file("f"), kRun);
  ASSERT_TRUE(back.ok());
  all.add(x.data() + 490, 70, 5, pool);
  back->moments.at(key).add(x.data() + 490, 70, 5, pool);
  EXPECT_EQ(written(*back, folder.file("g")), written(whole, folder.file("h")));
}

TEST(Unfinished, OfAnotherRunSaysWhatDiffers) {
  const os::TempDir folder;
  written(sample(), folder.file("f"));
  const auto other = read_unfinished(folder.file("f"), {kRun[0], {"the text", "u"}});
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ErrorCode::kInvalidValue);
  EXPECT_THAT(other.error().message, HasSubstr("the text (was t, is u)"));
  EXPECT_EQ(read_unfinished(folder.file("none"), kRun).error().code, ErrorCode::kNotFound);
}

TEST(Unfinished, CutAnywhereOrWithABitChangedIsRefused) {
  const os::TempDir folder;
  const std::string path = folder.file("f"), bytes = written(sample(), path);
  for (size_t length = 0; length < bytes.size(); ++length) {
    put(path, bytes.substr(0, length));
    const auto cut = read_unfinished(path, kRun);
    ASSERT_FALSE(cut.ok()) << length;
    EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt) << length;
  }
  for (size_t bit = 0; bit < 8 * bytes.size(); bit += 7) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    put(path, changed);
    const auto read = read_unfinished(path, kRun);
    ASSERT_FALSE(read.ok()) << bit;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt) << bit;
  }
  put(path, bytes + "x");
  EXPECT_THAT(read_unfinished(path, kRun).error().message, HasSubstr("checksum"));
}

// Somebody who means it puts the checksum right: nothing is read behind the end, and no more memory
// is taken than the file has.
TEST(Unfinished, ForgedOnesAreReadWithinBounds) {
  const os::TempDir folder;
  const std::string path = folder.file("f"), bytes = written(sample(), path);
  for (size_t length = 24; length < bytes.size(); ++length) {
    put(path, with_hash(bytes.substr(0, length)));
    EXPECT_EQ(read_unfinished(path, kRun).error().code, ErrorCode::kCorrupt) << length;
  }
  for (size_t at = 8; at < bytes.size() - 16; ++at) {
    std::string changed = bytes;
    changed[at] = '\xff';
    put(path, with_hash(changed));
    const auto read = read_unfinished(path, kRun);
    if (read.ok()) {
      EXPECT_LE(read->inputs.size() + read->moments.size(), 3U);
    }
  }
}

TEST(KeepingPace, BeginsSoonAndTakesATwentiethOfTheTimeAtMost) {
  constexpr int64_t kMs = 1'000'000;
  KeepingPace pace(0, 0);
  EXPECT_FALSE(pace.is_due(999 * kMs));
  EXPECT_TRUE(pace.is_due(1000 * kMs));
  pace.attempted(1000 * kMs, 1001 * kMs);
  EXPECT_FALSE(pace.is_due(3000 * kMs));
  EXPECT_TRUE(pace.is_due(3001 * kMs));
  pace.attempted(10'000 * kMs, 20'000 * kMs);
  EXPECT_FALSE(pace.is_due(209'999 * kMs));
  EXPECT_TRUE(pace.is_due(210'000 * kMs));
  for (int i = 0; i < 9; ++i) pace.attempted(0, 0);
  EXPECT_FALSE(pace.is_due(29'999 * kMs));
  EXPECT_TRUE(pace.is_due(30'000 * kMs));
  EXPECT_FALSE(KeepingPace(0, uint64_t{200} << 20).is_due(18'999 * kMs));
  EXPECT_TRUE(KeepingPace(0, uint64_t{200} << 20).is_due(19'000 * kMs));
}

class Kept : public ::testing::Test {
 protected:
  void SetUp() override {
    keeping_.path = folder_.file("im.gguf.partial");
    keeping_.clock = &clock_;
    keeping_.there = [this] { ++there_; };
    keeping_.note = [this](std::string_view note) { notes_.emplace_back(note); };
  }

  os::TempDir folder_;
  ManualClock clock_;
  CollectKeeping keeping_;
  int there_ = 0;
  std::vector<std::string> notes_;
};

TEST_F(Kept, IsTakenUpByTheSameRunAlone) {
  Keeper keeper(keeping_, kRun);
  EXPECT_FALSE(keeper.take_up(10)->has_value());
  keeper.chunk_done(sample());
  EXPECT_FALSE(std::filesystem::exists(keeping_.path));  // too soon
  clock_.advance_ms(1001);
  keeper.chunk_done(sample());
  EXPECT_EQ(there_, 1);
  Keeper again(keeping_, kRun);
  const auto sums = again.take_up(7);
  ASSERT_TRUE(sums.ok() && sums->has_value());
  EXPECT_EQ((*sums)->chunks, 7);
  EXPECT_EQ(there_, 2);
  EXPECT_TRUE(notes_.empty());
  EXPECT_FALSE(Keeper(keeping_, kRun).take_up(6)->has_value());
  EXPECT_FALSE(Keeper(keeping_, {{"the model", "n"}, kRun[1]}).take_up(9)->has_value());
  ASSERT_EQ(notes_.size(), 2U);
  EXPECT_THAT(notes_[0], HasSubstr("it has 7 chunks"));
  EXPECT_THAT(notes_[1],
              HasSubstr("did not count: it was begun otherwise: it differs in the model"));
  keeping_.resume = true;
  const auto refused = Keeper(keeping_, {{"the model", "n"}, kRun[1]}).take_up(9);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidValue);
  EXPECT_THAT(refused.error().message, HasSubstr("leave --resume out"));
  again.discard();
  EXPECT_FALSE(std::filesystem::exists(keeping_.path));
}

TEST_F(Kept, AFullDiskIsANoteOnce) {
  keeping_.spare_bytes = uint64_t{1} << 60;
  Keeper keeper(keeping_, kRun);
  for (int i = 0; i < 3; ++i) {
    clock_.advance_ms(31'000);
    keeper.chunk_done(sample());
  }
  EXPECT_EQ(there_, 0);
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_THAT(notes_[0], HasSubstr("could not be kept"));
  EXPECT_THAT(notes_[0], HasSubstr("the disk has"));
}

TEST_F(Kept, WhatIsNoFileIsLeftAlone) {
  std::filesystem::create_directory(keeping_.path);
  EXPECT_THAT(Keeper(keeping_, kRun).take_up(1).error().message, HasSubstr("move it away"));
  EXPECT_TRUE(std::filesystem::is_directory(keeping_.path));
}

}  // namespace
}  // namespace weir::ops
