// A regular expression of a configuration, a suite or a command line, in the syntax of PCRE2,
// matched against what a model wrote or a file calls its tensors: its steps are bounded, so that no
// answer can hold up a run. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::text {

class Pattern {
 public:
  static constexpr size_t kMaxBytes = 4096;
  // Enough for any sane pattern on an answer of some thousand tokens; one that explodes ends in a
  // few tenths of a second.
  static constexpr uint32_t kMaxSteps = 1'000'000;

  // max_steps: PCRE2's match limit, of each search. Error kInvalidValue: the byte where the pattern
  // breaks, and why.
  static Result<Pattern> make(std::string_view pattern, bool ignore_case,
                              uint32_t max_steps = kMaxSteps);
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

}  // namespace weir::text
