// Statistics of paired scores: is a candidate worse than its base, by how much, and how many items
// does it take to say so. Everything is a function of its arguments. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weir::ops {

struct BootstrapOptions {
  double confidence = 0.95;  // of the two-sided interval
  int32_t resamples = 10'000;
  uint64_t seed = 1;
};

struct PairedInterval {
  double mean = 0;
  double sd = 0;  // of the differences, n - 1 in the denominator
  double low = 0, high = 0;
  std::vector<double> means;  // of the resamples, ascending; empty: normal approximation
};

// Bootstrap of the mean of differences (candidate - base, item by item). The interval is the
// percentile one, moved to the percentiles of Student's t with n - 1 degrees of freedom since plain
// percentiles are too narrow for few items ("expanded percentile interval", Hesterberg, The
// American Statistician 69, 2015). From 20,000 items on the mean is normal enough to go without
// resampling. One item: low and high are infinite. Precondition: not empty.
PairedInterval paired_bootstrap(std::span<const double> differences,
                                const BootstrapOptions& options);

// P(mean >= margin) over the resamples, (k + 1) / (n + 1), so never 0: the one-sided p-value of
// "the true mean is at least margin".
double share_at_or_above(const PairedInterval& interval, double margin, size_t items);

// McNemar's exact test, two-sided: items right only in one (b) and only in the other (c). 1 where
// b + c is 0.
double mcnemar_exact(int64_t b, int64_t c);

// Holm's step-down: p-values that hold for the whole family, in the order given, at most 1.
std::vector<double> holm(std::span<const double> p_values);

// z with P(Z <= z) = p of the standard normal; p in (0, 1).
double normal_quantile(double p);

// Items that show a mean below `margin` when the true one is 0, with differences of this spread:
// ceil(((z_confidence + z_power) × sd / margin)²), at least 2. INT64_MAX for a margin of 0.
int64_t items_for_margin(double sd, double margin, double confidence, double power);

// Spread of the differences of right-or-wrong scores, careful where few or none differ: share of
// discordant items by Laplace's rule, (b + c + 1) / (n + 2), whose root bounds the spread.
double careful_binary_sd(int64_t discordant, int64_t items);

}  // namespace weir::ops
