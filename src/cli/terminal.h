// What people see while they wait: a progress bar on stderr, only on a terminal.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace weir::cli {

// One thread. Draws at most ten times a second; clears its line when destroyed.
class ProgressBar {
 public:
  ProgressBar(std::string label, uint64_t total, const Clock& clock);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  // note: a short figure shown behind the bar.
  void update(uint64_t done, const std::string& note = "");

 private:
  std::string label_;
  uint64_t total_;
  const Clock& clock_;
  int64_t start_ns_;
  int64_t drawn_ns_ = 0;
  bool terminal_;
};

// "1.5 GiB"
std::string format_bytes(uint64_t bytes);

}  // namespace weir::cli
