// Routing by difficulty: the probability that the small model suffices for a prompt, by a logistic
// model over features that cost next to nothing. Trained on the log of an evaluation in which both
// models answered: the label says whether the small one's answer was good enough.
//
// Pure; any thread once made.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::gateway {

inline constexpr size_t kDifficultyFeatures = 10;
using DifficultyFeatures = std::array<double, kDifficultyFeatures>;

// Their names in the order of DifficultyFeatures, as they stand in the model's file.
std::span<const std::string_view> difficulty_feature_names();

// What a prompt looks like: the text of the last user message, the number of user turns before it,
// and the bytes of all that stands before it. O(bytes) of text.
DifficultyFeatures difficulty_features(std::string_view text, int turns_before,
                                       size_t bytes_before);

struct DifficultyModel {
  DifficultyFeatures mean{};   // of the training set
  DifficultyFeatures scale{};  // standard deviation there; 1 for a feature that never varied
  DifficultyFeatures weight{};
  double bias = 0;
  int64_t examples = 0;  // it was trained on

  // 0 .. 1: that the small model suffices.
  double predict(const DifficultyFeatures& features) const;

  // {"format":"weir-difficulty-1","bias":…,"examples":…,"features":[{"name","mean","scale",
  // "weight"}…]}
  std::string to_json() const;
  // Errors: kInvalidJson; kCorrupt naming the field; kUnsupported for another format or other
  // features.
  static Result<DifficultyModel> parse(std::string_view json);
};

struct DifficultyExample {
  DifficultyFeatures features{};
  bool small_suffices = false;
};

struct DifficultyTraining {
  double l2 = 1;  // on the weights of standardized features, not on the bias; > 0
  int max_steps = 50;
};

// The model of greatest likelihood less l2 / 2 times the squared weights, by Newton's method.
// Errors: kInvalidValue when all labels are the same, a feature is not finite, or l2 is not above
// 0.
Result<DifficultyModel> train_difficulty(std::span<const DifficultyExample> examples,
                                         const DifficultyTraining& training = {});

}  // namespace weir::gateway
