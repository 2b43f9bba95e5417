// Text that knows where each byte came from: the template, or the user's data. Operations on text
// keep that, so that the prompt can be cut into stretches that may and may not hold control tokens.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace weir::text::jinja {

class Text {
 public:
  // A stretch that ends before byte `end` and begins where the run before it ends.
  struct Run {
    size_t end;
    bool user;
  };

  Text() = default;
  explicit Text(std::string bytes, bool user = false);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Ascending, neighbours differ, the last ends at size().
  const std::vector<Run>& runs() const { return runs_; }
  bool any_user() const;
  // Precondition: at < size().
  bool user_at(size_t at) const;

  void append(const Text& other) { append(other, 0, other.size()); }
  // Bytes [begin, end) of other, which is not *this.
  void append(const Text& other, size_t begin, size_t end);
  void append(std::string_view bytes, bool user = false);
  // Bytes [begin, end), both clipped to size().
  Text sub(size_t begin, size_t end) const;

 private:
  size_t run_at(size_t at) const;

  std::string bytes_;
  std::vector<Run> runs_;
};

}  // namespace weir::text::jinja
