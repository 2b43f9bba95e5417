// POST /v1/chat/completions, written from a conversation that an Anthropic client sent.
#include "gateway/translate/json_writer.h"
#include "gateway/translate/requests.h"

namespace weir::gateway::translate {
namespace {

using Kind = ContentBlock::Kind;

std::string data_url(const ContentBlock& block) {
  if (block.media_type.empty()) return block.text;
  return fmt::format("data:{};base64,{}", block.media_type, block.text);
}

void write_part(JsonWriter& w, const ContentBlock& block) {
  w.begin_object();
  switch (block.kind) {
    case Kind::kImage:
      w.member("type", "image_url").key("image_url").begin_object();
      w.member("url", data_url(block)).end_object();
      break;
    case Kind::kDocument:
      w.member("type", "file").key("file").begin_object();
      w.member("filename", block.name.empty() ? "document.pdf" : block.name);
      w.member("file_data", data_url(block)).end_object();
      break;
    default:
      w.member("type", "text").member("text", block.text);
  }
  w.end_object();
}

bool is_part(const ContentBlock& block) {
  return block.kind == Kind::kText || block.kind == Kind::kImage || block.kind == Kind::kDocument;
}

// "content": a string where it is one text that came as one, else parts.
void write_content(JsonWriter& w, const std::vector<ContentBlock>& blocks, bool plain) {
  w.key("content");
  if (plain) {
    w.string(blocks[0].text);
    return;
  }
  w.begin_array();
  for (const ContentBlock& block : blocks) {
    if (is_part(block)) write_part(w, block);
  }
  w.end_array();
}

void write_text_message(JsonWriter& w, std::string_view role,
                        const std::vector<ContentBlock>& blocks, bool plain) {
  w.begin_object().member("role", role);
  write_content(w, blocks, plain);
  w.end_object();
}

// Results become messages of their own. Their images, for which a tool's message has no place,
// stand at the front of the user's message that follows.
void write_user(JsonWriter& w, const Turn& turn) {
  std::vector<ContentBlock> rest;
  for (const ContentBlock& block : turn.blocks) {
    if (block.kind != Kind::kToolResult) continue;
    std::vector<ContentBlock> texts;
    for (const ContentBlock& part : block.parts) {
      (part.kind == Kind::kText ? texts : rest).push_back(part);
    }
    w.begin_object().member("role", "tool").member("tool_call_id", block.id);
    if (texts.empty()) {
      w.member("content", "");
    } else {
      write_content(w, texts, texts.size() == 1);
    }
    w.end_object();
  }
  for (const ContentBlock& block : turn.blocks) {
    if (is_part(block)) rest.push_back(block);
  }
  if (!rest.empty()) write_text_message(w, "user", rest, turn.plain);
}

void write_assistant(JsonWriter& w, const Turn& turn) {
  std::vector<ContentBlock> texts;
  bool calls = false;
  for (const ContentBlock& block : turn.blocks) {
    if (block.kind == Kind::kToolCall) {
      calls = true;
    } else if (is_part(block)) {
      texts.push_back(block);
    }
  }
  w.begin_object().member("role", "assistant");
  if (texts.empty()) {
    w.key("content").null();
  } else {
    // One text as a string: not every server takes parts from an assistant.
    write_content(w, texts, texts.size() == 1 && texts[0].kind == Kind::kText);
  }
  if (calls) {
    w.key("tool_calls").begin_array();
    for (const ContentBlock& block : turn.blocks) {
      if (block.kind != Kind::kToolCall) continue;
      w.begin_object().member("id", block.id).member("type", "function");
      w.key("function").begin_object().member("name", block.name);
      w.member("arguments", block.text).end_object().end_object();
    }
    w.end_array();
  }
  w.end_object();
}

void write_messages(JsonWriter& w, const Conversation& c) {
  w.key("messages").begin_array();
  if (!c.system.empty()) write_text_message(w, "system", c.system, c.system_plain);
  for (const Turn& turn : c.turns) {
    switch (turn.role) {
      case Role::kUser:
        write_user(w, turn);
        break;
      case Role::kAssistant:
        write_assistant(w, turn);
        break;
      case Role::kSystem:
        write_text_message(w, "system", turn.blocks, turn.plain);
    }
  }
  w.end_array();
}

void write_tools(JsonWriter& w, const Conversation& c) {
  if (!c.tools.empty()) {
    w.key("tools").begin_array();
    for (const ToolDefinition& tool : c.tools) {
      w.begin_object().member("type", "function").key("function").begin_object();
      w.member("name", tool.name);
      if (tool.description.has_value()) w.member("description", *tool.description);
      if (!tool.schema.empty()) w.key("parameters").raw(tool.schema);
      if (tool.strict.has_value()) w.key("strict").boolean(*tool.strict);
      w.end_object().end_object();
    }
    w.end_array();
  }
  switch (c.tool_choice) {
    case ToolChoice::kUnset:
      break;
    case ToolChoice::kAuto:
      w.member("tool_choice", "auto");
      break;
    case ToolChoice::kNone:
      w.member("tool_choice", "none");
      break;
    case ToolChoice::kRequired:
      w.member("tool_choice", "required");
      break;
    case ToolChoice::kNamed:
      w.key("tool_choice").begin_object().member("type", "function");
      w.key("function").begin_object().member("name", c.tool_name).end_object().end_object();
  }
  if (c.parallel_tool_calls.has_value() && !c.tools.empty()) {
    w.key("parallel_tool_calls").boolean(*c.parallel_tool_calls);
  }
}

// The effort that a budget of thinking stands for; the steps between LiteLLM's.
std::string_view effort_of_budget(int64_t tokens) {
  if (tokens >= 10'000) return "high";
  if (tokens >= 5'000) return "medium";
  return "low";
}

void write_effort(JsonWriter& w, Conversation& c, const TranslateOptions& options) {
  std::string effort = c.effort.value_or("");
  if (effort.empty() && c.thinking_budget_tokens.has_value()) {
    effort = effort_of_budget(*c.thinking_budget_tokens);
  }
  if (effort.empty()) return;
  if (!options.reasoning_effort) {
    c.alter(c.effort.has_value() ? "output_config.effort" : "thinking");
    return;
  }
  w.member("reasoning_effort", effort == "max" ? "xhigh" : effort);
}

void write_output(JsonWriter& w, const Conversation& c) {
  if (!c.output.has_value()) return;
  w.key("response_format").begin_object().member("type", "json_schema");
  w.key("json_schema").begin_object().member("name", c.output->name);
  w.key("schema").raw(c.output->schema);
  if (c.output->strict.has_value()) w.key("strict").boolean(*c.output->strict);
  w.end_object().end_object();
}

void write_numbers(JsonWriter& w, Conversation& c, const TranslateOptions& options) {
  if (c.max_tokens.has_value()) {
    w.member_integer(options.max_tokens_by_old_name ? "max_tokens" : "max_completion_tokens",
                     *c.max_tokens);
  }
  if (c.temperature.has_value()) w.key("temperature").number(*c.temperature);
  if (c.top_p.has_value()) w.key("top_p").number(*c.top_p);
  if (c.top_k.has_value()) {
    if (options.engine_extras) {
      w.member_integer("top_k", *c.top_k);
    } else {
      c.alter("top_k");
    }
  }
  if (!c.stop.empty()) {
    w.key("stop").begin_array();
    for (const std::string& stop : c.stop) w.string(stop);
    w.end_array();
  }
}

}  // namespace

std::string write_openai_request(Conversation& c, const TranslateOptions& options) {
  JsonWriter w;
  w.begin_object();
  w.member("model", options.upstream_model.empty() ? c.model : options.upstream_model);
  write_messages(w, c);
  write_tools(w, c);
  write_numbers(w, c, options);
  write_effort(w, c, options);
  write_output(w, c);
  if (c.user.has_value()) w.member("user", *c.user);
  if (c.stream) {
    // A message_delta cannot do without the usage.
    w.key("stream").boolean(true);
    w.key("stream_options").begin_object().key("include_usage").boolean(true).end_object();
  }
  w.end_object();
  return w.take();
}

}  // namespace weir::gateway::translate
