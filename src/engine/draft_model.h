// A small model that guesses, greedily, how the texts of a larger one go on. It has KV pages of its
// own and follows each sequence as far as they go: what it computed for guesses that turned out
// wrong is computed again. Whatever happens here (no pages, a failing step) means no guesses.
// For the engine thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/runner.h"
#include "kv/page_pool.h"
#include "text/tokenizer.h"

namespace weir::engine {

// A draft is only of use when a token has one meaning. Error: kInvalidValue with both sizes, or
// with the first id that the two spell differently.
Status check_same_vocabulary(const text::Tokenizer& model, const text::Tokenizer& draft);

class DraftModel {
 public:
  struct Want {
    const void* sequence = nullptr;    // whose text: the same address each time
    std::span<const int32_t> tokens;   // of the text, all known ones
    int32_t count = 0;                 // drafts
    std::vector<int32_t> drafts = {};  // out: count of them, or none
  };

  // vocab: tokens that both models have. The runner is borrowed.
  DraftModel(Runner& runner, int32_t vocab);

  // Fills in what can be drafted now. A text that is new is read over some steps first. Texts that
  // are not among the wants keep their pages until another needs them.
  void draft(std::span<Want> wants);
  // The sequence is over.
  void forget(const void* sequence);

 private:
  struct Text {
    std::vector<int32_t> computed;  // tokens with keys and values in pages
    std::vector<kv::PageId> pages;
    uint64_t used = 0;  // call of draft() that wanted it last
  };
  struct Part {
    Want* want;
    Text* text;
    std::vector<int32_t> tokens;  // to compute now
    bool reads_on = false;        // more of the text is left for the next call
  };
  bool make_room(Text& text, size_t tokens);
  void trim(Text& text, size_t tokens);
  void read_texts(std::span<Want> wants);
  Status forward();
  int32_t best(std::span<const float> logits) const;

  Runner& runner_;
  const int32_t vocab_;
  kv::PagePool pool_;
  std::map<const void*, Text> texts_;
  std::vector<Part> parts_;
  std::vector<float> logits_;
  uint64_t calls_ = 0;
};

}  // namespace weir::engine
