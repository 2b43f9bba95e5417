// From tokens of the engine to the entries that answers show as logprobs.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "api/responses.h"
#include "engine/request.h"
#include "text/tokenizer.h"

namespace weir::server {

// The token and its alternatives.
api::TokenLogprob logprob_entry(const text::Tokenizer& tokenizer, const engine::TokenInfo& token);

// Those of a whole prompt, whose text is shown before the answer (echo). Each is given the bytes of
// that text that it stands for, so that the offsets of all that follows are right where the two
// differ: a BOS that was added shows none, nor does the space that a tokenizer puts first.
std::vector<api::TokenLogprob> prompt_entries(const text::Tokenizer& tokenizer,
                                              std::string_view shown,
                                              std::span<const engine::TokenInfo> tokens);

}  // namespace weir::server
