// From an item to the messages, the text and the tokens that the model reads. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ops/eval/generate_items.h"
#include "ops/eval/suite.h"
#include "text/chat_template.h"
#include "text/json.h"
#include "text/tokenizer.h"

namespace weir::ops {

// With the task's instruction before it.
std::string instructed_prompt(const SuiteTask& task, const std::string& prompt);
// Those of the item, or its prompt as one of the user; the instruction in the first user message.
text::Json item_messages(const SuiteTask& task, const GenerateItem& item);
// Puts tool_instruction into the messages, before what the system says already.
void tell_tools(const text::Json& tools, text::Json& messages);

// The task's instruction goes before a prompt, with a blank line between, or before the first user
// message. Tools go through the template where it reads them, and else as a system message
// (tool_instruction). Errors: those of ChatTemplate::render_segments, with the item's id.
Result<std::vector<int32_t>> item_prompt(const text::Tokenizer& tokenizer,
                                         const text::ChatTemplate& chat, const Clock& clock,
                                         const SuiteTask& task, const GenerateItem& item);

}  // namespace weir::ops
