// A regular expression of a suite or of a command line, in the syntax of PCRE2, matched against
// what a model wrote or a file calls its tensors: its steps are bounded, so that no answer can hold
// up a run. Any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::ops {

class Pattern {
 public:
  static constexpr size_t kMaxBytes = 4096;

  // Error kInvalidValue: the byte where the pattern breaks, and why.
  static Result<Pattern> make(std::string_view pattern, bool ignore_case);
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  struct Found {
    bool matches = false;
    bool gave_up = false;  // it took more steps than are allowed
    std::string text;      // of group 1, or of the whole match where there is no such group
  };
  // The last match in `text`. Ill-formed UTF-8 counts as U+FFFD.
  Found last_in(std::string_view text) const;
  // The first one; cheaper.
  Found first_in(std::string_view text) const;

 private:
  struct Compiled;
  explicit Pattern(std::unique_ptr<Compiled> compiled);
  Found search(std::string_view text, bool last) const;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace weir::ops
