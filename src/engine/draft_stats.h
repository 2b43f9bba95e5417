// How often a proposed token turns out to be the next one, by what the proposal rests on. It needs
// no drafts to learn: every token of the output is held against what would have been proposed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace weir::engine {

// How well a draft model guesses one text.
struct DraftModelRecord {
  std::vector<int32_t> drafts;  // of the last call, not judged yet
  size_t at = 0;                // tokens of the text before them
  double hits = 0;
  double trials = 0;

  // The text is known further: holds the drafts against it, up to the first that was wrong.
  void judge(std::span<const int32_t> tokens);
  double rate() const;  // that a draft is right when those before it are
};

class DraftStats {
 public:
  // Proposals that follow an occurrence of the last `run` tokens; those that take up a copied text
  // again near the place where it diverged need less to be right.
  static size_t class_of(int32_t run, bool resumed);
  static constexpr int32_t kResumedRuns = 4;  // a longer run is as good wherever it began
  static constexpr size_t kRunClasses = 8;
  static constexpr size_t kClasses = kRunClasses + kResumedRuns + 1;

  // The share that was right, with the prior as kPriorWeight observations.
  double rate(size_t c, const DraftStats& prior) const { return rate(c, prior.rate(c)); }
  double rate(size_t c) const { return rate(c, kFirstGuess[c]); }
  // window: how many of the latest observations of a class count in the end.
  void add(size_t c, bool right, double window);

 private:
  // A guess to begin with, not measured: longer matches are right more often. It counts as
  // kPriorWeight observations and is soon outweighed.
  static constexpr std::array<double, kClasses> kFirstGuess = {0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.9,
                                                               0.95, 0.2, 0.5,  0.7, 0.8, 0.85};
  static constexpr double kPriorWeight = 6;

  double rate(size_t c, double prior) const {
    return (hits_[c] + kPriorWeight * prior) / (trials_[c] + kPriorWeight);
  }

  std::array<double, kClasses> hits_{};
  std::array<double, kClasses> trials_{};
};

}  // namespace weir::engine
