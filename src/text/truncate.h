// Cutting token ids to a length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "text/tokenizer.h"

namespace weir::text {

// Keeps the first `max` ids of a text. Where they end with the token that the vocabulary puts
// there, that one stays the last. max: at least 1.
inline void truncate(const Tokenizer& tokenizer, size_t max, std::vector<int32_t>& ids) {
  if (ids.size() <= max) return;
  const std::optional<int32_t> end = tokenizer.added_end();
  const bool ended = end.has_value() && ids.back() == *end;
  ids.resize(max);
  if (ended) ids.back() = *end;
}

}  // namespace weir::text
