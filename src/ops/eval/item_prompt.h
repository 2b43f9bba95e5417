// From an item to the tokens that the model reads. Any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ops/eval/generate_items.h"
#include "ops/eval/suite.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace weir::ops {

// The task's instruction goes before a prompt, with a blank line between, or before the first user
// message. Tools go through the template where it reads them, and else as a system message
// (tool_instruction). Errors: those of ChatTemplate::render_segments, with the item's id.
Result<std::vector<int32_t>> item_prompt(const text::Tokenizer& tokenizer,
                                         const text::ChatTemplate& chat, const Clock& clock,
                                         const SuiteTask& task, const GenerateItem& item);

}  // namespace weir::ops
