#include "text/jinja/text.h"

#include <algorithm>

namespace weir::text::jinja {

Text::Text(std::string bytes, bool user) : bytes_(std::move(bytes)) {
  if (!bytes_.empty()) runs_.push_back({bytes_.size(), user});
}

bool Text::any_user() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const Run& r) { return r.user; });
}

size_t Text::run_at(size_t at) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), at,
                                      [](size_t a, const Run& r) { return a < r.end; });
  return static_cast<size_t>(after - runs_.begin());
}

bool Text::user_at(size_t at) const { return runs_[run_at(at)].user; }

void Text::append(std::string_view bytes, bool user) {
  if (bytes.empty()) return;
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().user == user) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), user});
  }
}

void Text::append(const Text& other, size_t begin, size_t end) {
  const std::string_view all = other.bytes_;
  for (size_t r = begin < end ? other.run_at(begin) : 0; begin < end; ++r) {
    const size_t stop = std::min(end, other.runs_[r].end);
    append(all.substr(begin, stop - begin), other.runs_[r].user);
    begin = stop;
  }
}

Text Text::sub(size_t begin, size_t end) const {
  Text out;
  end = std::min(end, size());
  if (begin < end) out.append(*this, begin, end);
  return out;
}

}  // namespace weir::text::jinja
