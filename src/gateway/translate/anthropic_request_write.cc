// POST /v1/messages, written from a conversation that an OpenAI client sent.
#include <algorithm>

#include "gateway/translate/json_writer.h"
#include "gateway/translate/requests.h"

namespace weir::gateway::translate {
namespace {

using Kind = ContentBlock::Kind;

constexpr int64_t kLeastThinkingTokens = 1024;  // Anthropic's own bound

void write_source(JsonWriter& w, const ContentBlock& block) {
  w.key("source").begin_object();
  if (block.media_type.empty()) {
    w.member("type", "url").member("url", block.text);
  } else {
    w.member("type", "base64").member("media_type", block.media_type).member("data", block.text);
  }
  w.end_object();
}

void write_block(JsonWriter& w, const ContentBlock& block) {
  w.begin_object();
  switch (block.kind) {
    case Kind::kText:
    case Kind::kThinking:  // no OpenAI client sends any
      w.member("type", "text").member("text", block.text);
      break;
    case Kind::kImage:
      w.member("type", "image");
      write_source(w, block);
      break;
    case Kind::kDocument:
      w.member("type", "document");
      write_source(w, block);
      if (!block.name.empty()) w.member("title", block.name);
      break;
    case Kind::kToolCall:
      w.member("type", "tool_use").member("id", encode_tool_id(block.id));
      w.member("name", block.name).key("input").raw(arguments_to_input(block.text));
      break;
    case Kind::kToolResult:
      w.member("type", "tool_result").member("tool_use_id", encode_tool_id(block.id));
      if (block.parts.size() == 1 && block.parts[0].kind == Kind::kText) {
        w.member("content", block.parts[0].text);
      } else if (!block.parts.empty()) {
        w.key("content").begin_array();
        for (const ContentBlock& part : block.parts) write_block(w, part);
        w.end_array();
      }
      break;
  }
  w.end_object();
}

void write_blocks(JsonWriter& w, const std::vector<ContentBlock>& blocks, bool plain) {
  if (plain) {
    w.string(blocks[0].text);
    return;
  }
  w.begin_array();
  for (const ContentBlock& block : blocks) write_block(w, block);
  w.end_array();
}

void write_tools(JsonWriter& w, const Conversation& c) {
  if (c.tools.empty()) return;
  w.key("tools").begin_array();
  for (const ToolDefinition& tool : c.tools) {
    w.begin_object().member("name", tool.name);
    if (tool.description.has_value()) w.member("description", *tool.description);
    w.key("input_schema").raw(tool.schema.empty() ? R"({"type":"object"})" : tool.schema);
    if (tool.strict.has_value()) w.key("strict").boolean(*tool.strict);
    w.end_object();
  }
  w.end_array();
}

void write_tool_choice(JsonWriter& w, const Conversation& c) {
  const bool one_call = c.parallel_tool_calls.has_value() && !*c.parallel_tool_calls;
  ToolChoice choice = c.tool_choice;
  if (c.tools.empty()) return;
  if (choice == ToolChoice::kUnset && one_call) choice = ToolChoice::kAuto;
  if (choice == ToolChoice::kUnset) return;
  w.key("tool_choice").begin_object();
  switch (choice) {
    case ToolChoice::kNone:
      w.member("type", "none");
      break;
    case ToolChoice::kRequired:
      w.member("type", "any");
      break;
    case ToolChoice::kNamed:
      w.member("type", "tool").member("name", c.tool_name);
      break;
    default:
      w.member("type", "auto");
  }
  if (one_call && choice != ToolChoice::kNone) w.key("disable_parallel_tool_use").boolean(true);
  w.end_object();
}

// What Anthropic calls an effort of OpenAI's; "" for none.
std::string_view anthropic_effort(std::string_view effort) {
  if (effort == "minimal") return "low";
  for (const std::string_view same : {"low", "medium", "high", "xhigh", "max"}) {
    if (effort == same) return same;
  }
  return "";
}

// The budgets that LiteLLM gives the same efforts.
int64_t budget_tokens(std::string_view effort) {
  if (effort == "low") return kLeastThinkingTokens;
  if (effort == "medium") return 2048;
  if (effort == "high") return 4096;
  return 8192;
}

// Whether the last turn of the assistant calls tools. With a budget, Anthropic wants the thinking
// of such a turn back, which OpenAI's protocol cannot carry.
bool ends_in_tool_call(const Conversation& c) {
  for (auto turn = c.turns.rbegin(); turn != c.turns.rend(); ++turn) {
    if (turn->role != Role::kAssistant) continue;
    return std::any_of(turn->blocks.begin(), turn->blocks.end(),
                       [](const ContentBlock& b) { return b.kind == Kind::kToolCall; });
  }
  return false;
}

// Writes "thinking"; true when the model will think.
bool write_thinking(JsonWriter& w, Conversation& c, const TranslateOptions& options,
                    int64_t max_tokens) {
  if (!c.effort.has_value()) return false;
  const std::string_view effort = anthropic_effort(*c.effort);
  if (options.thinking == ThinkingStyle::kDrop || (effort.empty() && *c.effort != "none")) {
    c.alter("reasoning_effort");
    return false;
  }
  const bool budget = options.thinking == ThinkingStyle::kBudget;
  if (effort.empty()) {
    // What thinks only when asked need not be told not to.
    if (!budget) w.key("thinking").begin_object().member("type", "disabled").end_object();
    return false;
  }
  // A forced call and thinking exclude each other.
  const bool forced = c.tool_choice == ToolChoice::kRequired || c.tool_choice == ToolChoice::kNamed;
  if (!budget) {
    if (!forced) w.key("thinking").begin_object().member("type", "adaptive").end_object();
    return !forced;
  }
  // The budget is part of max_tokens; a fifth stays for the answer.
  const int64_t tokens = std::min(budget_tokens(effort), max_tokens - max_tokens / 5);
  if (forced || tokens < kLeastThinkingTokens || ends_in_tool_call(c)) {
    c.alter("reasoning_effort");
    return false;
  }
  w.key("thinking").begin_object().member("type", "enabled");
  w.member_integer("budget_tokens", tokens).end_object();
  return true;
}

void write_output_config(JsonWriter& w, const Conversation& c, const TranslateOptions& options) {
  const bool effort = options.thinking == ThinkingStyle::kEffort && c.effort.has_value() &&
                      !anthropic_effort(*c.effort).empty();
  if (!effort && !c.output.has_value()) return;
  w.key("output_config").begin_object();
  if (effort) w.member("effort", anthropic_effort(*c.effort));
  if (c.output.has_value()) {
    w.key("format").begin_object().member("type", "json_schema");
    w.key("schema").raw(c.output->schema).end_object();
  }
  w.end_object();
}

// Thinking excludes them too.
void write_sampling(JsonWriter& w, Conversation& c, const TranslateOptions& options,
                    bool thinking) {
  const bool drop = thinking || options.sampling == SamplingStyle::kDrop;
  const bool one = options.sampling == SamplingStyle::kTemperatureOnly && c.temperature.has_value();
  if (c.temperature.has_value()) {
    // As Anthropic's own compatibility layer does: above 1 is 1.
    if (drop || *c.temperature > 1) c.alter("temperature");
    if (!drop) w.key("temperature").number(std::min(*c.temperature, 1.0));
  }
  if (c.top_p.has_value()) {
    if (drop || one) {
      c.alter("top_p");
    } else {
      w.key("top_p").number(*c.top_p);
    }
  }
  if (c.top_k.has_value()) {
    if (drop) {
      c.alter("top_k");
    } else {
      w.member_integer("top_k", *c.top_k);
    }
  }
}

Status write_stop(JsonWriter& w, Conversation& c, const TranslateOptions& options) {
  std::vector<std::string> kept;
  for (const std::string& stop : c.stop) {
    if (!is_blank(stop)) {
      kept.push_back(stop);
      continue;
    }
    if (!options.drop_unsupported) {
      return param_error(ErrorCode::kInvalidValue, "stop",
                         "stop holds {}, only white space, which this model's upstream does not "
                         "take; leave it out",
                         text::json_quote(stop));
    }
    c.alter("stop");
  }
  if (kept.empty()) return {};
  w.key("stop_sequences").begin_array();
  for (const std::string& stop : kept) w.string(stop);
  w.end_array();
  return {};
}

// Results of tools come first in a turn.
void write_messages(JsonWriter& w, Conversation& c) {
  w.key("messages").begin_array();
  for (Turn& turn : c.turns) {
    if (turn.role == Role::kUser) {
      std::stable_partition(turn.blocks.begin(), turn.blocks.end(),
                            [](const ContentBlock& b) { return b.kind == Kind::kToolResult; });
    }
    w.begin_object().member("role", turn.role == Role::kAssistant ? "assistant" : "user");
    w.key("content");
    write_blocks(w, turn.blocks, turn.plain);
    w.end_object();
  }
  w.end_array();
}

}  // namespace

Result<std::string> write_anthropic_request(Conversation& c, const TranslateOptions& options) {
  if (c.turns.empty()) {
    return param_error(ErrorCode::kInvalidValue, "messages",
                       "messages must hold a message of a user that is not empty; this model's "
                       "upstream answers nothing else");
  }
  const int64_t max_tokens = c.max_tokens.value_or(options.default_max_tokens);
  JsonWriter w;
  w.begin_object();
  w.member("model", options.upstream_model.empty() ? c.model : options.upstream_model);
  w.member_integer("max_tokens", max_tokens);
  if (!c.system.empty()) {
    w.key("system");
    write_blocks(w, c.system, c.system_plain);
  }
  write_messages(w, c);
  write_tools(w, c);
  write_tool_choice(w, c);
  const bool thinking = write_thinking(w, c, options, max_tokens);
  write_output_config(w, c, options);
  write_sampling(w, c, options, thinking);
  WEIR_TRY(write_stop(w, c, options));
  if (c.user.has_value()) {
    w.key("metadata").begin_object().member("user_id", *c.user).end_object();
  }
  if (c.stream) w.key("stream").boolean(true);
  w.end_object();
  return w.take();
}

}  // namespace weir::gateway::translate
