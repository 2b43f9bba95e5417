// Takes out of a text what must not get into logs: keys and tokens, e-mail addresses, card numbers,
// phone numbers, and what configured patterns find. Each becomes "[key]", "[email]", "[card]",
// "[phone]" or "[pattern]".
//
// It errs on the side of taking too much. Time is linear in the text: the built-in rules look ahead
// a bounded number of bytes, a pattern has a bound on its steps, and a text on which one passes it
// is replaced as a whole.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::telemetry {

// What is to go: bytes [begin, end) of a text, and what stands for it: "[key]".
struct Finding {
  size_t begin = 0;
  size_t end = 0;
  std::string_view name;
};

// Any thread.
class Scrubber {
 public:
  static constexpr size_t kMaxTextBytes = 1 << 20;  // what follows is cut off
  static constexpr size_t kMaxPatterns = 32;

  // patterns: PCRE2, matched in UTF-8 where the text is, else in bytes. Errors: kUsage, with the
  // pattern's number, the offset and the reason.
  static Result<Scrubber> make(const std::vector<std::string>& patterns);
  Scrubber();  // the built-in rules
  ~Scrubber();
  Scrubber(Scrubber&&) noexcept;
  Scrubber& operator=(Scrubber&&) noexcept;

  std::string scrub(std::string_view text) const;
  // What scrub takes out, in order, none overlapping another. Error kLimit: a text beyond
  // kMaxTextBytes, or a pattern that passes its bound.
  Result<std::vector<Finding>> find(std::string_view text) const;

 private:
  struct Patterns;
  std::unique_ptr<Patterns> patterns_;
};

}  // namespace weir::telemetry
