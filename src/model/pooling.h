// From the hidden states of a text to its embedding, of unit length.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::model {

enum class Pooling {
  kNone,  // the model is said to give one vector a token, not one a text
  kMean,  // of all tokens
  kCls,   // the first token
  kLast,  // the last token
};

std::string_view pooling_name(Pooling pooling);
// "mean", "cls" or "last". Error: kUsage with the names there are.
Result<Pooling> parse_pooling(std::string_view name);

// Takes the hidden states of one text as its steps compute them. What comes out does not depend on
// how the text was cut into steps: rows are taken one by one, in order. Holds memory from the first
// row on, so that texts which wait take none. One thread at a time.
class Pooler {
 public:
  // pooling: not kNone. dim: of a hidden state; tokens: of the whole text, at least 1.
  Pooler(Pooling pooling, size_t dim, int32_t tokens);

  // How many trailing rows of a step over tokens [position, position + count) it needs.
  int32_t wanted_rows(int32_t position, int32_t count) const;
  // Those rows, [wanted, dim].
  void add(int32_t position, std::span<const float> rows);
  // The text will be computed from its start again.
  void restart();

  // The embedding, [dim], divided by its length. Error: kInternal when it is not finite.
  Result<std::vector<float>> finish() const;

 private:
  Pooling pooling_;
  int32_t tokens_;
  size_t dim_;
  std::vector<double> sum_;  // [dim], or empty before the first row
};

}  // namespace weir::model
