#include "ops/quantize/error_feedback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "ops/imatrix/moments.h"
#include "os/cpu.h"
#include "os/file.h"
#include "os/temp_dir.h"
#include "quant/codec.h"

namespace weir::ops {
namespace {

using gguf::TensorType;
using testing::HasSubstr;

constexpr size_t kCols = 160;
constexpr size_t kRows = 37;

float normal(uint64_t stream, uint64_t i) {
  float sum = 0;
  for (uint64_t k = 0; k < 12; ++k) sum += static_cast<float>(random_unit(17, stream, i * 12 + k));
  return sum - 6;
}

// Inputs whose columns go together: each is mostly the one before it.
std::vector<float> inputs(size_t rows) {
  std::vector<float> x(rows * kCols);
  for (size_t t = 0; t < rows; ++t) {
    for (size_t i = 0; i < kCols; ++i) {
      const float before = i == 0 ? 0 : x[t * kCols + i - 1];
      x[t * kCols + i] = 0.9F * before + (i % 7 == 0 ? 2.0F : 0.5F) * normal(t, i);
    }
  }
  return x;
}

std::vector<float> moments_of(const std::vector<float>& x, kernels::ThreadPool& pool) {
  MomentSums sums(kCols);
  sums.add(x.data(), kCols, x.size() / kCols, pool);
  std::vector<float> means;
  sums.means(means);
  return means;
}

// Σ (w − ŵ) H (w − ŵ)ᵀ, as it stands.
double output_error(std::span<const float> moments, std::span<const float> w,
                    std::span<const float> quantized) {
  double sum = 0;
  for (size_t first = 0; first < w.size(); first += kCols) {
    for (size_t i = 0; i < kCols; ++i) {
      for (size_t j = 0; j < kCols; ++j) {
        const size_t high = std::max(i, j), low = std::min(i, j);
        sum += (w[first + i] - quantized[first + i]) * (w[first + j] - quantized[first + j]) *
               moments[high * (high + 1) / 2 + low];
      }
    }
  }
  return sum;
}

struct Encoded {
  std::vector<std::byte> bytes;
  double error = 0;  // of the output
};

Encoded encode(TensorType type, std::span<const float> w, std::span<const float> moments,
               const ErrorFeedback* feedback) {
  const gguf::TypeInfo& info = *gguf::type_info(type);
  Encoded e;
  e.bytes.resize(w.size() / info.block_elements * info.block_bytes);
  const quant::SearchIsa isa = quant::best_search_isa(os::detect_cpu());
  EXPECT_TRUE(quant::quantize_rows(type, w, kCols, {}, e.bytes, isa).ok());
  if (feedback != nullptr) {
    EXPECT_TRUE(feedback->apply(type, w, isa, e.bytes).ok());
  }
  std::vector<float> back(w.size());
  EXPECT_TRUE(quant::decode(type, e.bytes, back).ok());
  e.error = output_error(moments, w, back);
  return e;
}

std::vector<float> weights() {
  std::vector<float> w(kRows * kCols);
  for (size_t i = 0; i < w.size(); ++i) w[i] = 0.05F * normal(99, i);
  return w;
}

TEST(Moments, AreTheMeansOfProducts) {
  kernels::ThreadPool pool(2);
  const std::vector<float> x = inputs(70);
  const std::vector<float> means = moments_of(x, pool);
  ASSERT_EQ(means.size(), kCols * (kCols + 1) / 2);
  for (const auto& [i, j] : {std::pair<size_t, size_t>{0, 0}, {17, 3}, {64, 63}, {159, 159}}) {
    double sum = 0;
    for (size_t t = 0; t < 70; ++t) sum += x[t * kCols + i] * x[t * kCols + j] / 70.0;
    EXPECT_NEAR(means[i * (i + 1) / 2 + j], sum, 1e-4) << i << ", " << j;
  }
}

TEST(Moments, AFileGivesThemBack) {
  kernels::ThreadPool pool(1);
  const std::vector<float> x = inputs(40);
  std::vector<InputMoments> all;
  all.push_back({{"blk.0.attn_q.weight", "blk.0.attn_k.weight"}, MomentSums(kCols)});
  all[0].sums.add(x.data(), kCols, 40, pool);
  const os::TempDir folder;
  const TextWindows windows{std::string(32, 'a'), 10, {1, 2}};
  ASSERT_TRUE(write_moments(all, windows, folder.file("m")).ok());
  const auto file = Moments::open(folder.file("m"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->matrices(), 2U);
  ASSERT_TRUE(file->windows());
  EXPECT_EQ(file->windows()->hashes, windows.hashes);
  const auto found = file->find("blk.0.attn_k.weight", kCols);
  ASSERT_TRUE(found.ok() && found->has_value());
  const std::vector<float> means = moments_of(x, pool);
  EXPECT_TRUE(std::equal(means.begin(), means.end(), (*found)->begin(), (*found)->end()));
  EXPECT_FALSE(file->find("blk.1.attn_k.weight", kCols)->has_value());
  const auto other = file->find("blk.0.attn_k.weight", kCols + 1);
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error().message, HasSubstr("another model"));
}

TEST(Moments, AFileCutAnywhereIsRefused) {
  kernels::ThreadPool pool(1);
  const std::vector<float> x = {1, 2, 3, 4, 5, 6};
  std::vector<InputMoments> all;
  all.push_back({{"blk.0.attn_q.weight"}, MomentSums(3)});
  all[0].sums.add(x.data(), 3, 2, pool);
  const os::TempDir folder;
  ASSERT_TRUE(write_moments(all, {}, folder.file("m")).ok());
  const auto whole = os::read_file(folder.file("m"), 1 << 20);
  ASSERT_TRUE(whole.ok());
  for (size_t n = 0; n < whole->size(); ++n) {
    ASSERT_TRUE(
        os::write_file_atomic(folder.file("cut"), std::string_view(*whole).substr(0, n)).ok());
    const auto cut = Moments::open(folder.file("cut"));
    // What is missing at the end may be padding alone.
    if (cut.ok()) {
      EXPECT_GT(n + 32, whole->size()) << n;
      const auto found = cut->find("blk.0.attn_q.weight", 3);
      ASSERT_TRUE(found.ok() && found->has_value());
      EXPECT_EQ((*found)->back(), (3.0F * 3 + 6.0F * 6) / 2);
    }
  }
}

TEST(ErrorFeedback, MakesTheOutputBetter) {
  kernels::ThreadPool pool(2);
  const std::vector<float> moments = moments_of(inputs(600), pool);
  const auto feedback = ErrorFeedback::create(moments, kCols, 0.01, pool);
  ASSERT_TRUE(feedback.ok()) << feedback.error().message;
  const std::vector<float> w = weights();
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0,
                                TensorType::kQ8_0, TensorType::kIQ4_NL, TensorType::kMXFP4}) {
    const double plain = encode(type, w, moments, nullptr).error;
    const double chosen = encode(type, w, moments, &*feedback).error;
    EXPECT_LT(chosen, 0.6 * plain) << gguf::type_name(type);
  }
}

TEST(ErrorFeedback, SaysWhatTheOutputLoses) {
  kernels::ThreadPool pool(2);
  const std::vector<float> moments = moments_of(inputs(600), pool);
  const auto feedback = ErrorFeedback::create(moments, kCols, 1e-7, pool);
  ASSERT_TRUE(feedback.ok());
  const std::vector<float> w = weights();
  std::vector<float> other = w;
  for (size_t i = 0; i < other.size(); ++i) other[i] += 0.001F * normal(5, i);
  const double expected = output_error(moments, w, other);
  const quant::SearchIsa isa = quant::best_search_isa(os::detect_cpu());
  EXPECT_NEAR(feedback->output_error(w, other, isa), expected, 1e-3 * expected);
}

// With inputs that have nothing to do with each other there is nothing to make good: the nearest
// codes are the best.
TEST(ErrorFeedback, WithoutCorrelationsTheNearestCodesStay) {
  kernels::ThreadPool pool(1);
  std::vector<float> moments(kCols * (kCols + 1) / 2);
  for (size_t i = 0; i < kCols; ++i) moments[i * (i + 1) / 2 + i] = 1.0F + static_cast<float>(i);
  const auto feedback = ErrorFeedback::create(moments, kCols, 0.01, pool);
  ASSERT_TRUE(feedback.ok());
  const std::vector<float> w = weights();
  EXPECT_EQ(encode(TensorType::kQ5_0, w, moments, nullptr).bytes,
            encode(TensorType::kQ5_0, w, moments, &*feedback).bytes);
}

TEST(ErrorFeedback, ARowDoesNotDependOnItsNeighboursNorOnTheIsa) {
  kernels::ThreadPool pool(2);
  const std::vector<float> moments = moments_of(inputs(300), pool);
  const auto feedback = ErrorFeedback::create(moments, kCols, 0.01, pool);
  ASSERT_TRUE(feedback.ok());
  const std::vector<float> w = weights();
  const Encoded all = encode(TensorType::kQ4_0, w, moments, &*feedback);
  const size_t row_bytes = all.bytes.size() / kRows;
  const auto fifth = std::span(w).subspan(5 * kCols, kCols);
  EXPECT_TRUE(std::ranges::equal(encode(TensorType::kQ4_0, fifth, moments, &*feedback).bytes,
                                 std::span(all.bytes).subspan(5 * row_bytes, row_bytes)));
  std::vector<std::byte> scalar = encode(TensorType::kQ4_0, w, moments, nullptr).bytes;
  ASSERT_TRUE(feedback->apply(TensorType::kQ4_0, w, quant::SearchIsa::kScalar, scalar).ok());
  EXPECT_EQ(scalar, all.bytes);
}

TEST(ErrorFeedback, RefusesWhatAreNoMoments) {
  kernels::ThreadPool pool(1);
  std::vector<float> moments(kCols * (kCols + 1) / 2);
  EXPECT_EQ(ErrorFeedback::create(moments, kCols, 0.01, pool).error().code,
            ErrorCode::kInvalidValue);
  moments.assign(moments.size(), std::nanf(""));
  EXPECT_EQ(ErrorFeedback::create(moments, kCols, 0.01, pool).error().code,
            ErrorCode::kInvalidValue);
  moments.assign(moments.size(), 1);  // of rank one: damping makes it positive
  EXPECT_TRUE(ErrorFeedback::create(moments, kCols, 0.01, pool).ok());
  for (size_t i = 1; i < kCols; ++i) moments[i * (i + 1) / 2] = -5;  // below |x0| |xi|
  EXPECT_EQ(ErrorFeedback::create(moments, kCols, 0.01, pool).error().code,
            ErrorCode::kInvalidValue);
}

}  // namespace
}  // namespace weir::ops
