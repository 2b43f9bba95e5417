// A run cut into equal bins of time. Internal to bench/.
#pragma once

#include <functional>
#include <vector>

#include "bench/report/summary.h"

namespace weir::bench {

// A span of the run's clock.
struct Window {
  double begin_s = 0;
  double end_s = 0;
  double length_s() const { return end_s - begin_s; }
  bool holds(double t) const { return t >= begin_s && t <= end_s; }
};

// Sums of what happened, by bin of a window; what falls outside is dropped.
class Bins {
 public:
  Bins(const Window& window, size_t count);
  void add(double t, double amount);
  // `amount` for each second of [from, to) that lies in a bin.
  void add_span(double from, double to, double amount);
  double width_s() const { return width_s_; }
  double centre_s(size_t i) const { return begin_s_ + width_s_ * (static_cast<double>(i) + 0.5); }
  const std::vector<double>& sums() const { return sums_; }
  std::vector<double> per_s() const;

 private:
  double begin_s_;
  double width_s_;
  std::vector<double> sums_;
};

// Calls `at(t, tokens)` for each piece of output of a request; the tokens of all pieces add up to
// output_tokens (a piece may hold several).
void for_each_piece(const RequestRecord& request,
                    const std::function<void(double t, double tokens)>& at);

// The timeline of the report: bins of a round width (1, 2 or 5 times a power of ten), about 120.
Timeline make_timeline(const LoadRun& run);
// The width of such bins for a run of that length.
double round_bin_s(double duration_s);

// Most output tokens in one second (in the whole run when it is shorter), and most requests that
// were under way together.
double peak_tokens_per_s(const LoadRun& run);
int32_t peak_in_flight(const LoadRun& run);

}  // namespace weir::bench
