// Token ids to text as they are generated, never splitting a character.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace weir::text {

struct DetokenizerOptions {
  bool skip_special = true;     // false: control tokens appear as their text
  bool continues_text = false;  // true: keep the first space (the ids continue a prompt)
};

// For any ids, the pushes concatenated and then flush() equal Tokenizer::decode(ids) (with the same
// options). One thread at a time; the Tokenizer must outlive it. Holds at most 3 bytes between
// calls.
class IncrementalDetokenizer {
 public:
  explicit IncrementalDetokenizer(const Tokenizer& tokenizer, DetokenizerOptions options = {})
      : tokenizer_(&tokenizer), options_(options), at_start_(!options.continues_text) {}

  // The text that `id` completes: well-formed UTF-8, possibly empty. Bytes that no further token
  // can make well formed come out as U+FFFD at once.
  std::string push(int32_t id);
  // What is held back, as U+FFFD (an unfinished character can no longer be finished), and starts
  // anew.
  std::string flush();
  // Whether bytes of an unfinished character are held back.
  bool pending() const { return !held_.empty(); }

 private:
  const Tokenizer* tokenizer_;
  DetokenizerOptions options_;
  bool at_start_;     // nothing came out yet, and a first space is to be dropped
  std::string held_;  // a well-formed start of one character
};

}  // namespace weir::text
