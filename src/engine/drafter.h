// Proposes how the text of one sequence goes on: by following a prediction, or the text that
// followed the last tokens where they stood before.
//
// It keeps a cursor: the place in the indexed text (prediction, prompt, output) that the output
// follows. While tokens match, the cursor moves with them. Where they diverge, it looks for its
// place again near by, since an edited copy goes on after the edit, and takes the longest repeated
// suffix of the whole text when that says more.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/draft_stats.h"
#include "engine/suffix_index.h"

namespace weir::engine {

struct Draft {
  std::vector<int32_t> tokens;
  std::vector<double> chances;  // that a token and all before it will be accepted; falling
};

class Drafter {
 public:
  // prediction: what the output may look like; may be empty. past: other texts that may be said
  // again, each ended by a negative token of its own; read before the sequence's tokens. shared:
  // what all sequences learned; is told what this one sees and outlives it. max_tokens: as
  // SuffixIndex has it.
  Drafter(std::span<const int32_t> prediction, std::vector<int32_t> past, size_t prompt_tokens,
          DraftStats& shared, int32_t max_tokens);

  // Reads on in the past texts and the tokens of the sequence, at most `budget` of them. The
  // result: how many it read.
  int32_t read(std::span<const int32_t> tokens, int32_t budget);
  // Up to `count` tokens that may follow those read. Empty when nothing is known, or when `tokens`
  // is not read to its end.
  Draft propose(std::span<const int32_t> tokens, int32_t count) const;
  size_t bytes() const { return index_.bytes(); }

 private:
  void learn(int32_t token);
  // Into the index; what it forgets moves the places down.
  void push(int32_t token);
  void follow(int32_t token);
  void find_place();
  void resume_nearby();
  int32_t token_at(int32_t position) const { return index_.text()[static_cast<size_t>(position)]; }

  SuffixIndex index_;
  DraftStats& shared_;
  DraftStats own_;
  size_t prompt_tokens_;
  std::vector<int32_t> past_;  // what is not read of it yet, the next one last
  bool predicted_ = false;     // the index begins with a prediction
  size_t read_ = 0;
  int32_t cursor_ = -1;  // position of the proposed token; -1: nothing is proposed
  int32_t run_ = 0;      // tokens before the cursor that equal the last ones
  bool resumed_ = false;
  int32_t diverged_at_ = -1;  // where the cursor was when a copy ended; -1: not lately
  int32_t since_diverged_ = 0;
};

}  // namespace weir::engine
