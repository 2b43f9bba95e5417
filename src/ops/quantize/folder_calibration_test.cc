#include "ops/quantize/folder_calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "os/cpu.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

constexpr size_t kCols = 64, kRows = 24, kGroups = 2;

float uniform(uint64_t stream, uint64_t i) {
  return static_cast<float>(random_unit(3, stream, i)) * 2 - 1;
}

// Means of products of inputs whose columns go together.
std::vector<float> moments(kernels::ThreadPool& pool) {
  std::vector<float> x(size_t{400} * kCols);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = (i % kCols == 0 ? 0 : 0.9F * x[i - 1]) + uniform(1, i) * (i % 5 == 0 ? 3.0F : 1.0F);
  MomentSums sums(kCols);
  sums.add(x.data(), kCols, 400, pool);
  std::vector<float> means;
  sums.means(means);
  return means;
}

struct Rows {
  std::vector<float> values, scales;
  std::vector<uint8_t> zeros;
  checkpoint::GroupedRows grouped() const {
    return {kRows, kCols, kGroups, 4, values, scales, zeros};
  }

  std::vector<float> decode(std::span<const uint8_t> codes) const {
    std::vector<float> out;
    for (size_t i = 0; i < codes.size(); ++i) {
      const size_t g = i / kCols * kGroups + i % kCols / (kCols / kGroups);
      out.push_back(static_cast<float>(codes[i] - zeros[g]) * scales[g]);
    }
    return out;
  }
};

Rows rows() {
  Rows r;
  for (size_t i = 0; i < kRows * kCols; ++i) r.values.push_back(uniform(2, i));
  for (size_t g = 0; g < kRows * kGroups; ++g) {
    r.scales.push_back(0.13F + 0.001F * static_cast<float>(g % 7));
    r.zeros.push_back(static_cast<uint8_t>(7 + g % 3));
  }
  return r;
}

std::vector<uint8_t> nearest(const Rows& r) {
  std::vector<uint8_t> codes(r.values.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    const size_t g = i / kCols * kGroups + i % kCols / (kCols / kGroups);
    const float code = std::nearbyint(r.values[i] / r.scales[g] + r.zeros[g]);
    codes[i] = static_cast<uint8_t>(std::clamp(code, 0.0F, 15.0F));
  }
  return codes;
}

TEST(GroupChooser, MakesTheOutputBetterThanTheNearestCodes) {
  kernels::ThreadPool pool(2);
  const auto feedback = ErrorFeedback::create(moments(pool), kCols, 0.01, pool);
  ASSERT_TRUE(feedback.ok());
  const Rows r = rows();
  std::vector<uint8_t> codes(r.values.size());
  ASSERT_TRUE(GroupChooser(*feedback).choose(r.grouped(), codes).ok());
  const auto isa = quant::best_search_isa(os::detect_cpu());
  EXPECT_LT(feedback->output_error(r.values, r.decode(codes), isa),
            0.7 * feedback->output_error(r.values, r.decode(nearest(r)), isa));
}

TEST(GroupChooser, TakesTheNearestCodesWhereColumnsDoNotGoTogether) {
  kernels::ThreadPool pool(1);
  std::vector<float> diagonal;
  for (size_t i = 0; i < kCols; ++i) {
    diagonal.resize(diagonal.size() + i);
    diagonal.push_back(1 + static_cast<float>(i % 3));
  }
  const auto feedback = ErrorFeedback::create(diagonal, kCols, 0.01, pool);
  ASSERT_TRUE(feedback.ok());
  const Rows r = rows();
  std::vector<uint8_t> codes(r.values.size());
  ASSERT_TRUE(GroupChooser(*feedback).choose(r.grouped(), codes).ok());
  EXPECT_EQ(codes, nearest(r));
}

TEST(MeasuredMatrices, GivesImportanceOfFoldedColumnsAndLargestInputs) {
  kernels::ThreadPool pool(1);
  ImportanceMatrix importance;
  importance.entries = {{"blk.0.attn_q.weight", {8, 18}, {2}, {5, 7}}};
  MeasuredMatrices measured({&importance, nullptr}, pool);
  const auto plain = measured.of({"blk.0.attn_q.weight"}, 2, {});
  ASSERT_TRUE(plain.ok());
  EXPECT_THAT(plain->weights, testing::ElementsAre(4, 9));
  EXPECT_EQ(plain->largest_input, 7);
  EXPECT_EQ(plain->chooser, nullptr);
  const std::vector<float> folded = {2, 3};
  EXPECT_THAT(measured.of({"blk.0.attn_q.weight"}, 2, folded)->weights, testing::ElementsAre(1, 1));
  EXPECT_EQ(measured.unknown(), 0U);
  EXPECT_TRUE(measured.of({"blk.1.attn_q.weight"}, 2, {})->weights.empty());
  EXPECT_EQ(measured.unknown(), 1U);
  EXPECT_EQ(measured.of({"blk.0.attn_q.weight"}, 3, {}).error().code, ErrorCode::kCorrupt);
}

TEST(MeasuredMatrices, GivesEveryExpertItsOwn) {
  kernels::ThreadPool pool(1);
  ImportanceMatrix importance;
  importance.entries = {
      {"blk.0.ffn_up_exps.weight", {8, 18, 0, 0, 3, 3}, {2, 0, 3}, {5, 7, 0, 0, 9, 1}}};
  importance.cache = {{0, {1, 2}, {3, 4}}};
  MeasuredMatrices measured({&importance, nullptr}, pool);
  const auto first = measured.of({"blk.0.ffn_up_exps.weight", 0}, 2, {});
  ASSERT_TRUE(first.ok());
  EXPECT_THAT(first->weights, testing::ElementsAre(4, 9));
  EXPECT_EQ(first->largest_input, 7);
  EXPECT_EQ(measured.of({"blk.0.ffn_up_exps.weight", 2}, 2, {})->largest_input, 9);
  EXPECT_EQ(measured.unseen(), 0U);
  const auto unseen = measured.of({"blk.0.ffn_up_exps.weight", 1}, 2, {});
  EXPECT_THAT(unseen->weights, testing::ElementsAre(11 / 5.0F, 21 / 5.0F));
  EXPECT_EQ(unseen->largest_input, 9);
  EXPECT_EQ(measured.unseen(), 1U);
  EXPECT_EQ(measured.of({"blk.0.ffn_up_exps.weight", 3}, 2, {}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(measured.unknown(), 0U);
  EXPECT_TRUE(measured.of({"blk.1.ffn_up_exps.weight", 0}, 2, {})->weights.empty());
  EXPECT_EQ(measured.unknown(), 1U);
  EXPECT_THAT(measured.cache_of(0).values, testing::ElementsAre(3, 4));
  EXPECT_TRUE(measured.cache_of(1).keys.empty());
}

TEST(MeasuredMatrices, MomentsChooseCodesAndAreDividedWhereColumnsWereFolded) {
  kernels::ThreadPool pool(1);
  const os::TempDir dir;
  const std::string path = dir.path() + "/moments";
  std::vector<InputMoments> inputs;
  MomentSums sums(kCols);
  std::vector<float> x(size_t{200} * kCols);
  for (size_t i = 0; i < x.size(); ++i) x[i] = uniform(4, i) + uniform(5, i / kCols);
  sums.add(x.data(), kCols, 200, pool);
  inputs.push_back({{"blk.0.ffn_up.weight"}, std::move(sums)});
  ASSERT_TRUE(write_moments(inputs, {}, path).ok());
  const auto file = Moments::open(path);
  ASSERT_TRUE(file.ok());
  MeasuredMatrices measured({nullptr, &*file}, pool);
  const Rows r = rows();
  std::vector<float> folded(kCols);
  for (size_t i = 0; i < kCols; ++i) folded[i] = i % 2 == 0 ? 4 : 0.25F;
  std::vector<uint8_t> plain(r.values.size()), changed(r.values.size());
  auto found = measured.of({"blk.0.ffn_up.weight"}, kCols, {});
  ASSERT_TRUE(found.ok() && found->chooser != nullptr);
  EXPECT_EQ(found->weights.size(), kCols);
  ASSERT_TRUE(found->chooser->choose(r.grouped(), plain).ok());
  MeasuredMatrices again({nullptr, &*file}, pool);
  found = again.of({"blk.0.ffn_up.weight"}, kCols, folded);
  ASSERT_TRUE(found.ok() && found->chooser != nullptr);
  ASSERT_TRUE(found->chooser->choose(r.grouped(), changed).ok());
  EXPECT_NE(plain, changed);
}

}  // namespace
}  // namespace weir::ops
