// What both protocols say, in neither's words: conversations, tools, answers, token counts. Readers
// of one protocol make it, writers of the other take it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::gateway {

// Why an answer ended.
enum class FinishReason : uint8_t {
  kNone,       // it has not
  kStop,       // by itself, or at a stop sequence
  kLength,     // max_tokens, or the context was full
  kToolCalls,  // it wants tools called
  kFiltered,   // refused or cut by a filter
};

// OpenAI's names: "stop", "length", "tool_calls", "content_filter"; "" for kNone.
std::string_view finish_reason_name(FinishReason reason);

// Tokens, as an upstream counted them.
struct TokenUsage {
  bool known = false;              // the upstream said
  int64_t prompt_tokens = 0;       // all of the prompt, cached ones included
  int64_t cached_tokens = 0;       // of the prompt, read from a cache
  int64_t cache_write_tokens = 0;  // of the prompt, written to a cache
  int64_t completion_tokens = 0;   // reasoning included
  int64_t reasoning_tokens = 0;    // of the completion
};

}  // namespace weir::gateway

namespace weir::gateway::translate {

struct ContentBlock {
  enum class Kind : uint8_t { kText, kImage, kDocument, kToolCall, kToolResult, kThinking };
  Kind kind = Kind::kText;
  // kText, kThinking: the text. kImage, kDocument: base64, or a URL when media_type is empty.
  // kToolCall: the arguments, as the model wrote them; not always JSON.
  std::string text;
  std::string media_type;
  std::string id;                   // kToolCall, kToolResult
  std::string name;                 // kToolCall: of the tool; kDocument: of the file
  std::vector<ContentBlock> parts;  // kToolResult: texts and images
};

enum class Role : uint8_t { kUser, kAssistant, kSystem };  // results of tools are the user's

struct Turn {
  Role role = Role::kUser;
  bool plain = false;  // its only block is a text that was given as a string
  std::vector<ContentBlock> blocks;
};

struct ToolDefinition {
  std::string name;
  std::optional<std::string> description;
  std::string schema;  // raw JSON; empty: none
  std::optional<bool> strict;
};

enum class ToolChoice : uint8_t { kUnset, kAuto, kNone, kRequired, kNamed };

struct OutputSchema {
  std::string name;
  std::string schema;  // raw JSON
  std::optional<bool> strict;
};

struct Conversation {
  std::string model;
  std::vector<ContentBlock> system;  // texts
  bool system_plain = false;         // one text, given as a string
  std::vector<Turn> turns;           // two neighbours have different roles
  std::vector<ToolDefinition> tools;
  ToolChoice tool_choice = ToolChoice::kUnset;
  std::string tool_name;  // of kNamed
  std::optional<bool> parallel_tool_calls;
  std::optional<int64_t> max_tokens;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int64_t> top_k;
  std::vector<std::string> stop;
  std::optional<std::string> user;
  std::optional<std::string> effort;  // "none", "minimal", "low", … "max"
  std::optional<int64_t> thinking_budget_tokens;
  std::optional<OutputSchema> output;
  bool stream = false;
  bool include_usage = false;  // the client wants the usage in the stream
  // Fields that were left out or changed, by their paths ("seed", "messages[].name"), each once.
  std::vector<std::string> altered;

  void alter(std::string_view path);
};

struct Answer {
  std::string id;
  std::string model;
  int64_t created_unix_s = 0;
  std::vector<ContentBlock> blocks;  // kText, kThinking, kToolCall
  FinishReason finish = FinishReason::kStop;
  std::string stop_sequence;  // the one that ended it, when known
  TokenUsage usage;
};

// Appends to the last turn, or begins one where that has another role.
void append_block(std::vector<Turn>& turns, Role role, ContentBlock block);

// ---- How values of one protocol are spelled in the other
// -----------------------------------------

// Arguments as the JSON object that Anthropic wants. Those that are no object go under the key that
// Anthropic's manual proposes for them, {"INVALID_JSON": "..."}; blank ones are {}.
std::string arguments_to_input(std::string_view arguments);
// The reverse; `input` is a raw JSON object.
std::string input_to_arguments(std::string_view input);

// Anthropic takes ids of [a-zA-Z0-9_-]+ alone. Others, such as "functions.f:0", travel in
// hexadecimal behind "weirhex_"; decode gives back what encode was given.
std::string encode_tool_id(std::string_view id);
std::string decode_tool_id(std::string_view id);

// Only blanks (space, tab, line ends), or nothing.
bool is_blank(std::string_view text);

}  // namespace weir::gateway::translate
