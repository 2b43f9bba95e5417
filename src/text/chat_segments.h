// From a rendered prompt to token ids, so that control tokens typed by a user stay text.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace weir::text {

// Sets bos_token and eos_token to what the vocabulary spells.
void set_special_tokens(const Tokenizer& tokenizer, ChatInput& input);

// Control tokens are recognised only where they lie wholly in template text; all other text is
// tokenized across segment borders as one string. Where the vocabulary asks for a BOS, the result
// starts with exactly one, whether or not the template wrote it. Any thread.
std::vector<int32_t> encode_segments(const Tokenizer& tokenizer, std::span<const Segment> segments);

}  // namespace weir::text
