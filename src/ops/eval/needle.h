// A needle in a haystack: whether the model finds a sentence wherever it stands in a long text.
// Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/eval/generate_items.h"
#include "ops/eval/suite.h"

namespace weir::ops {

// Tokens of a text.
using TokenCount = std::function<size_t(std::string_view)>;

// An item for each length and depth: the beginning of the haystack, the needle put between two of
// its sentences (lines, words) next to the depth, a blank line, the question. The whole counts at
// most `length` tokens, and as near to it as words allow. Ids are "LENGTH@DEPTH". Errors:
// kInvalidValue where needle and question alone are longer, or the haystack is too short.
Result<std::vector<GenerateItem>> needle_items(const RetrievalSpec& spec, std::string_view haystack,
                                               const TokenCount& tokens);

// The items of a task of kind "retrieval": of the lengths that fit the window, and no more than the
// task's limit. window_tokens: unset for no bound. remedy: how the error for a window into which no
// length fits ends. counter: called once it is certain that tokens are counted. notice: told of
// lengths that are left out; may be empty. Errors: kInvalidValue naming the task; those of
// needle_items.
Result<std::vector<GenerateItem>> needles_in_window(
    const SuiteTask& task, std::string_view haystack, std::optional<int64_t> window_tokens,
    std::string_view remedy, const std::function<TokenCount()>& counter,
    const std::function<void(const std::string&)>& notice);

// The answer of an item is in the model's words.
EvalScores score_needle(const GenerateItem& item, std::string_view answer);

}  // namespace weir::ops
