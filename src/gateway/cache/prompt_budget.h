// What becomes of a conversation that is longer than the budget: refused, cut by rule, or
// compressed by leaving out sentences.
//
//   truncate   the oldest turns go; system messages and the last user turn stay. If that is not
//              enough, the oldest tool rounds of the last turn go, but for its last one.
//   compress   sentences of user, tool and assistant text are scored against the last question
//              (BM25, plus a little for a paragraph's first sentence and for being recent) and the
//              best are kept, in their order, with kGap where some are left out. System messages,
//              tool calls and the question itself stay as they are.
//
// A tool call and its results stay or go together, always. Pure and deterministic; any thread:
// compressing 125 KB takes some 20 ms, which an I/O thread may not want to spend.
// Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace weir::gateway {

enum class PromptAction { kRefuse, kTruncate, kCompress };

struct PromptBudgetConfig {
  int64_t max_input_tokens = 0;  // 0: no bound
  PromptAction action = PromptAction::kRefuse;
  double bytes_per_token = 4;         // where nobody counts better
  int64_t message_tokens = 4;         // what a template puts around a message
  int64_t other_part_tokens = 1'000;  // of a content part that is no text
};

inline constexpr std::string_view kGap = " [...] ";
inline constexpr std::string_view kPromptBudgetField = "x-weir-prompt-budget";

// Tokens of a text; empty: bytes / bytes_per_token, rounded up.
using TokenCounter = std::function<int64_t(std::string_view text)>;

// A piece of a message's text that was kept: bytes [begin, end) of its string content, or of its
// parts' texts one after the other.
struct KeptSpan {
  size_t message = 0;  // as they came in
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const KeptSpan&) const = default;
};

struct PromptBudgetResult {
  text::Json messages;
  bool changed = false;
  PromptAction action = PromptAction::kRefuse;  // that changed it
  int64_t tokens_before = 0;                    // as counted here
  int64_t tokens_after = 0;
  size_t messages_dropped = 0;
  std::vector<KeptSpan> spans;  // of messages that were compressed, in order
  double ratio() const;         // tokens_after / tokens_before
  // The value of x-weir-prompt-budget, at most 512 bytes: "truncate; tokens=5210/1890; dropped=6",
  // "compress; tokens=5210/1890; ratio=0.36; spans=1:0-80,1:220-300". "" when nothing changed.
  std::string header() const;
};

int64_t count_tokens(const text::Json& messages, const PromptBudgetConfig& config,
                     const TokenCounter& counter = {});

// messages: of a chat request, as api/ has checked them. Errors: kMaxInputTokensExceeded when they
// are too long and may not be, or cannot be, made short enough: with both numbers and the remedy.
Result<PromptBudgetResult> apply_prompt_budget(const text::Json& messages,
                                               const PromptBudgetConfig& config,
                                               const TokenCounter& counter = {});

// For apply_prompt_budget; `result` comes with messages and tokens_before.
Status truncate_prompt(PromptBudgetResult& result, const PromptBudgetConfig& config,
                       const TokenCounter& counter);
Status compress_prompt(PromptBudgetResult& result, const PromptBudgetConfig& config,
                       const TokenCounter& counter);

}  // namespace weir::gateway
