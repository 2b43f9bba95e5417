// Calls of functions: those in an answer, those that are right, and tools as BFCL writes them down.
// Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace weir::ops {

struct ToolCall {
  std::string name;
  text::Json arguments;  // an object
};

// The calls that an answer makes: <tool_call>{…}</tool_call> (Hermes, Qwen), [TOOL_CALLS] […]
// (Mistral), or the whole answer, in a ``` fence or bare: one {"name", "arguments" | "parameters"}
// or a list of them. What does not parse is no call. The syntaxes of other families are not read.
std::vector<ToolCall> parse_tool_calls(std::string_view answer);

// Whether `calls` are those of `expected`, in any order: a list of {name: {argument: [values that
// are right, "" where it may be left out]}}, the shape of BFCL's possible answers. Numbers compare
// as numbers; texts without case, blanks and the marks ,./-_*^ and with ' for ", as BFCL's checker
// (ast_checker.py, standardize_string) has it.
bool calls_match(const text::Json& expected, const std::vector<ToolCall>& calls);

// `answer` of an item in that shape: null (no call is right), {"name", "arguments"} or a list of
// them. Error kInvalidValue says what is wrong.
Result<text::Json> expected_calls(const text::Json& answer);
// BFCL's own, checked.
Status check_expected_calls(const text::Json& expected);

// BFCL's functions as the tools of a chat request; its Python types become those of JSON Schema.
text::Json tools_of_bfcl(const text::Json& functions);

// What a model is told of its tools where its chat template does not tell it.
std::string tool_instruction(const text::Json& tools);

}  // namespace weir::ops
