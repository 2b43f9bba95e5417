// Cutting token ids to a length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/tokenizer.h"

namespace weir::text {

// Keeps the first `max` ids of a text, which were encoded with add_bos_eos; a token that the
// vocabulary puts at the end stays the last. max: at least 1.
inline void truncate(const Tokenizer& tokenizer, size_t max, std::vector<int32_t>& ids) {
  if (ids.size() <= max) return;
  const int32_t last = ids.back();
  ids.resize(max);
  if (tokenizer.adds_eos()) ids.back() = last;
}

}  // namespace weir::text
