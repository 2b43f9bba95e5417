#include "cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace weir::cli {
namespace {
constexpr int kBarColumns = 30;
constexpr int64_t kDrawEveryNs = 100'000'000;
}  // namespace

ProgressBar::ProgressBar(std::string label, uint64_t total, const Clock& clock)
    : label_(std::move(label)),
      total_(std::max<uint64_t>(1, total)),
      clock_(clock),
      start_ns_(clock.now_ns()),
      terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressBar::~ProgressBar() {
  if (terminal_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::update(uint64_t done, const std::string& note) {
  const int64_t now = clock_.now_ns();
  if (!terminal_ || (now - drawn_ns_ < kDrawEveryNs && done < total_)) return;
  drawn_ns_ = now;
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
  const int filled = static_cast<int>(share * kBarColumns);
  const double elapsed_s = static_cast<double>(now - start_ns_) * 1e-9;
  const double left_s = share > 0 ? elapsed_s * (1 - share) / share : 0;
  fmt::print(stderr, "\r\033[K{} [{}{}] {:3.0f}% {}{} {:.0f} s left", label_,
             std::string(filled, '#'), std::string(kBarColumns - filled, '.'), share * 100, note,
             note.empty() ? "" : ",", left_s);
  std::fflush(stderr);
}

std::string format_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace weir::cli
