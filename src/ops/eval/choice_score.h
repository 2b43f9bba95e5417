// What the log-likelihoods of an item's choices make of it, wherever they come from, and its place
// in the cache. Any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ops/eval/cache.h"
#include "ops/eval/result.h"
#include "ops/eval/suite.h"

namespace weir::ops {

// Shots and prompt without the blanks at their end, which belong to what follows.
std::string choice_context(const ChoiceItem& item);
// What the model reads of a choice: shots, prompt, a space, choice.
std::string choice_text(const ChoiceItem& item, size_t choice);

// "acc", "acc_norm" (choice.h) and "ll" of an item; log_likelihoods: nats, one a choice.
EvalItem scored_choice(const ChoiceItem& item, std::span<const double> log_likelihoods);

// A score, 1, of an item whose prompt was too long for the window and lost its beginning. Others
// have none.
inline constexpr std::string_view kPromptCut = "prompt_cut";

// fingerprint: of all that scores depend on beside the item.
std::string choice_key(std::string_view fingerprint, const ChoiceItem& item);
// cache: nullptr for none. Items whose prompts were cut are not kept: another window cuts
// elsewhere.
std::optional<EvalItem> cached_choice(const ResultCache* cache, std::string_view fingerprint,
                                      const ChoiceItem& item);
Status keep_choice(ResultCache* cache, std::string_view fingerprint, std::string_view task,
                   const ChoiceItem& item, const EvalItem& scored);

}  // namespace weir::ops
