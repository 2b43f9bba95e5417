#include "ops/quantize/allocate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

namespace weir::ops {
namespace {

using Tensors = std::vector<std::vector<TypeOption>>;

Tensors some(uint64_t seed, size_t count) {
  Tensors tensors(count);
  for (size_t t = 0; t < count; ++t) {
    const double sensitivity = std::exp(4 * random_unit(seed, 1, t));
    const auto unit = static_cast<uint64_t>(1 + random_unit(seed, 2, t) * 4);
    for (const uint64_t bits : {3U, 4U, 5U, 6U, 8U}) {
      const double wobble = 0.7 + 0.6 * random_unit(seed, 3 + bits, t);
      tensors[t].push_back({gguf::TensorType::kQ4_0, bits * unit,
                            wobble * sensitivity * std::exp2(-2.0 * static_cast<double>(bits))});
    }
  }
  return tensors;
}

// Of all choices the one with the least loss within `most` bytes.
double best_loss(const Tensors& tensors, uint64_t most) {
  double best = HUGE_VAL;
  std::vector<size_t> choice(tensors.size());
  for (;;) {
    uint64_t bytes = 0;
    double loss = 0;
    for (size_t t = 0; t < tensors.size(); ++t) {
      bytes += tensors[t][choice[t]].bytes;
      loss += tensors[t][choice[t]].loss;
    }
    if (bytes <= most) best = std::min(best, loss);
    size_t t = 0;
    while (t < tensors.size() && ++choice[t] == tensors[t].size()) choice[t++] = 0;
    if (t == tensors.size()) return best;
  }
}

TEST(Allocate, IsCloseToTheBestOfAllChoices) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Tensors tensors = some(seed, 6);
    uint64_t least = 0, largest = 0;
    double step = 0;  // the largest loss of one tensor
    for (const auto& options : tensors) {
      least += options.front().bytes;
      largest += options.back().bytes;
      for (const TypeOption& o : options) step = std::max(step, o.loss);
    }
    for (uint64_t most = least; most <= largest; most += 3) {
      const auto found = allocate_bytes(tensors, most);
      ASSERT_TRUE(found.ok()) << found.error().message;
      EXPECT_LE(found->bytes, most);
      uint64_t bytes = 0;
      double loss = 0;
      for (size_t t = 0; t < tensors.size(); ++t) {
        bytes += tensors[t][found->choice[t]].bytes;
        loss += tensors[t][found->choice[t]].loss;
      }
      EXPECT_EQ(bytes, found->bytes);
      EXPECT_NEAR(loss, found->loss, 1e-9);
      EXPECT_LE(found->loss, best_loss(tensors, most) + step / 2)
          << "seed " << seed << ", " << most << " bytes";
    }
    EXPECT_FALSE(allocate_bytes(tensors, least - 1).ok());
  }
}

TEST(Allocate, ALossIsKeptWithFewBytes) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Tensors tensors = some(seed, 40);
    const auto all = allocate_bytes(tensors, UINT64_MAX);
    ASSERT_TRUE(all.ok());
    for (const double factor : {1.0, 1.5, 4.0, 30.0}) {
      const auto found = allocate_loss(tensors, all->loss * factor * (1 + 1e-12));
      ASSERT_TRUE(found.ok()) << found.error().message;
      EXPECT_LE(found->loss, all->loss * factor * (1 + 1e-9));
      // With a little less there is no way to stay within it.
      const auto smaller = allocate_bytes(tensors, found->bytes * 9 / 10);
      if (smaller.ok()) {
        EXPECT_GT(smaller->loss, all->loss * factor) << seed << ' ' << factor;
      }
    }
    EXPECT_FALSE(allocate_loss(tensors, all->loss * 0.9).ok());
  }
}

TEST(Allocate, SpendsWhereItSavesMost) {
  const Tensors tensors = {
      {{gguf::TensorType::kQ4_0, 10, 1.0}, {gguf::TensorType::kQ8_0, 20, 0.1}},
      {{gguf::TensorType::kQ4_0, 10, 9.0}, {gguf::TensorType::kQ8_0, 20, 0.2}}};
  const auto found = allocate_bytes(tensors, 35);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->choice, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(found->bytes, 30U);
}

}  // namespace
}  // namespace weir::ops
