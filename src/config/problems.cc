#include "config/problems.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>

namespace weir::config {

void Problems::add(int line, std::string message, ErrorCode code) {
  const auto behind = std::upper_bound(problems_.begin(), problems_.end(), line,
                                       [](int l, const Problem& p) { return l < p.line; });
  problems_.insert(behind, {line, std::move(message), code});
  if (problems_.size() <= kMost) return;
  problems_.pop_back();
  ++left_out_;
}

void Problems::add(const Error& error) {
  std::string_view text = error.message;
  int line = 0;
  if (text.starts_with(file_ + ':')) {
    text.remove_prefix(file_.size() + 1);
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), line);
    if (bad == std::errc()) text.remove_prefix(static_cast<size_t>(end - text.data()));
    text.remove_prefix(std::min(text.size(), text.find_first_not_of(": ")));
  }
  add(line, std::string(text), error.code);
}

Error Problems::error() const {
  Error out{problems_.front().code, "", {}, 0.0};
  for (const Problem& p : problems_) {
    if (p.code != out.code) out.code = ErrorCode::kCorrupt;
    if (!out.message.empty()) out.message += '\n';
    out.message += p.line > 0 ? fmt::format("{}:{}: {}", file_, p.line, p.message)
                              : fmt::format("{}: {}", file_, p.message);
  }
  if (left_out_ > 0) out.message += fmt::format("\n{}: {} more, behind these", file_, left_out_);
  return out;
}

}  // namespace weir::config
