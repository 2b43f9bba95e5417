#include "gateway/translate/answers.h"

#include <algorithm>
#include <utility>

#include "api/error_table.h"
#include "gateway/translate/json_skim.h"
#include "gateway/translate/json_writer.h"
#include "gateway/translate/requests.h"
#include "text/utf8.h"

namespace weir::gateway::translate {
namespace {

using text::Json;
using Kind = ContentBlock::Kind;

int64_t count_of(const Json* value) {
  if (value == nullptr || !value->is_int()) return 0;
  return std::clamp(value->as_int(), int64_t{0}, int64_t{1} << 40);
}

std::string string_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

Error corrupt(std::string_view what) {
  return make_error(ErrorCode::kCorrupt, "the upstream's answer {}", what);
}

Result<Json> parse_answer(std::string_view body, const TranslateLimits& limits) {
  auto json = parse_bounded(body, limits);
  if (!json.ok()) {
    const bool large = json.error().code == ErrorCode::kBodyTooLarge;
    return make_error(large ? ErrorCode::kLimit : ErrorCode::kCorrupt, "the upstream's answer: {}",
                      json.error().message);
  }
  if (!json->is_object()) return corrupt("is no object");
  return json;
}

void add_text(Answer& a, Kind kind, std::string text) {
  if (text.empty()) return;
  ContentBlock& block = a.blocks.emplace_back();
  block.kind = kind;
  block.text = std::move(text);
}

// A string, or parts of which the texts count.
std::string content_text(const Json* content) {
  if (content == nullptr) return "";
  if (content->is_string()) return content->as_string();
  std::string out;
  if (!content->is_array()) return out;
  for (const Json& part : content->items()) out += string_of(part, "text");
  return out;
}

Status read_openai_calls(const Json& message, const TranslateLimits& limits, Answer& a) {
  const Json* calls = message.find("tool_calls");
  if (calls == nullptr || calls->is_null()) return {};
  if (!calls->is_array()) return corrupt("has tool_calls that are no array");
  if (calls->size() > limits.max_tools) {
    return make_error(ErrorCode::kLimit, "the upstream's answer has more than {} tool calls",
                      limits.max_tools);
  }
  for (const Json& call : calls->items()) {
    const Json* function = call.find("function");
    if (function == nullptr) return corrupt("has a tool call without function");
    ContentBlock block;
    block.kind = Kind::kToolCall;
    block.id = string_of(call, "id");
    if (block.id.empty()) block.id = fmt::format("call_{}_{}", a.id, a.blocks.size());
    block.name = string_of(*function, "name");
    if (block.name.empty()) return corrupt("has a tool call without a name");
    block.text = string_of(*function, "arguments");
    a.blocks.push_back(std::move(block));
  }
  return {};
}

Status read_anthropic_block(const Json& block, std::string_view raw, Answer& a) {
  const std::string type = string_of(block, "type");
  if (type == "text") {
    add_text(a, Kind::kText, string_of(block, "text"));
  } else if (type == "thinking") {
    add_text(a, Kind::kThinking, string_of(block, "thinking"));
  } else if (type == "tool_use") {
    ContentBlock call;
    call.kind = Kind::kToolCall;
    call.id = decode_tool_id(string_of(block, "id"));
    call.name = string_of(block, "name");
    const Json* input = block.find("input");
    if (call.name.empty()) return corrupt("has a tool_use without a name");
    if (input == nullptr || !input->is_object()) return corrupt("has a tool_use without input");
    call.text = input_to_arguments(skim_member(raw, "input").value_or("{}"));
    a.blocks.push_back(std::move(call));
  }
  return {};  // others, such as what tools of Anthropic's own found, have no place in OpenAI's
}

bool has_calls(const Answer& a) {
  return std::any_of(a.blocks.begin(), a.blocks.end(),
                     [](const ContentBlock& b) { return b.kind == Kind::kToolCall; });
}

}  // namespace

Result<Answer> read_openai_answer(std::string_view body, const TranslateLimits& limits) {
  WEIR_ASSIGN(const Json json, parse_answer(body, limits));
  const Json* choices = json.find("choices");
  if (choices == nullptr || !choices->is_array() || choices->size() == 0) {
    return corrupt("has no choices");
  }
  const Json& choice = choices->items()[0];
  const Json* message = choice.find("message");
  if (message == nullptr || !message->is_object()) return corrupt("has a choice without message");
  Answer a;
  a.id = string_of(json, "id");
  a.model = string_of(json, "model");
  a.created_unix_s = count_of(json.find("created"));
  std::string thinking = string_of(*message, "reasoning_content");
  if (thinking.empty()) thinking = string_of(*message, "reasoning");
  add_text(a, Kind::kThinking, std::move(thinking));
  add_text(a, Kind::kText, content_text(message->find("content")));
  add_text(a, Kind::kText, string_of(*message, "refusal"));
  WEIR_TRY(read_openai_calls(*message, limits, a));
  a.finish = read_openai_finish(string_of(choice, "finish_reason"));
  a.stop_sequence = string_of(choice, "stop_reason");  // vLLM and SGLang: the text that matched
  if (const Json* usage = json.find("usage"); usage != nullptr) a.usage = read_openai_usage(*usage);
  return a;
}

Result<Answer> read_anthropic_answer(std::string_view body, const TranslateLimits& limits) {
  WEIR_ASSIGN(const Json json, parse_answer(body, limits));
  const Json* content = json.find("content");
  if (content == nullptr || !content->is_array()) return corrupt("has no content");
  if (content->size() > limits.max_blocks) {
    return make_error(ErrorCode::kLimit, "the upstream's answer has more than {} blocks",
                      limits.max_blocks);
  }
  Answer a;
  a.id = string_of(json, "id");
  a.model = string_of(json, "model");
  JsonSkim raw(skim_member(body, "content").value_or(""));
  for (const Json& block : content->items()) {
    const std::string_view text = raw.next() ? raw.value() : std::string_view();
    WEIR_TRY(read_anthropic_block(block, text, a));
  }
  a.finish = read_anthropic_stop(string_of(json, "stop_reason"));
  a.stop_sequence = string_of(json, "stop_sequence");
  if (const Json* usage = json.find("usage"); usage != nullptr) {
    merge_anthropic_usage(*usage, a.usage);
  }
  return a;
}

std::string write_openai_answer(const Answer& a) {
  std::string text;
  std::string thinking;
  bool any_text = false;
  for (const ContentBlock& block : a.blocks) {
    if (block.kind == Kind::kText) text += block.text;
    if (block.kind == Kind::kThinking) thinking += block.text;
    any_text = any_text || block.kind == Kind::kText;
  }
  JsonWriter w;
  w.begin_object().member("id", a.id).member("object", "chat.completion");
  w.member_integer("created", a.created_unix_s).member("model", a.model);
  w.key("choices").begin_array().begin_object().member_integer("index", 0);
  w.key("message").begin_object().member("role", "assistant").key("content");
  if (any_text || !has_calls(a)) {
    w.string(text);
  } else {
    w.null();
  }
  w.key("refusal").null();
  if (!thinking.empty()) w.member("reasoning_content", thinking);
  if (has_calls(a)) {
    w.key("tool_calls").begin_array();
    for (const ContentBlock& block : a.blocks) {
      if (block.kind != Kind::kToolCall) continue;
      w.begin_object().member("id", block.id).member("type", "function");
      w.key("function").begin_object().member("name", block.name);
      w.member("arguments", block.text).end_object().end_object();
    }
    w.end_array();
  }
  w.end_object().key("logprobs").null();
  w.member("finish_reason", finish_reason_name(a.finish)).end_object().end_array();
  w.key("usage").raw(openai_usage(a.usage).dump()).end_object();
  return w.take();
}

std::string write_anthropic_answer(const Answer& a) {
  JsonWriter w;
  w.begin_object().member("id", a.id).member("type", "message").member("role", "assistant");
  w.member("model", a.model).key("content").begin_array();
  for (const ContentBlock& block : a.blocks) {
    if (block.kind == Kind::kText && !is_blank(block.text)) {
      w.begin_object().member("type", "text").member("text", block.text).end_object();
    } else if (block.kind == Kind::kThinking) {
      w.begin_object().member("type", "thinking").member("thinking", block.text);
      w.member("signature", "").end_object();
    } else if (block.kind == Kind::kToolCall) {
      w.begin_object().member("type", "tool_use").member("id", encode_tool_id(block.id));
      w.member("name", block.name).key("input").raw(arguments_to_input(block.text)).end_object();
    }
  }
  w.end_array();
  const bool by_sequence = !a.stop_sequence.empty();
  w.member("stop_reason", anthropic_stop_reason(a.finish, by_sequence, has_calls(a)));
  w.key("stop_sequence");
  if (by_sequence) {
    w.string(a.stop_sequence);
  } else {
    w.null();
  }
  w.key("usage").raw(anthropic_usage(a.usage).dump()).end_object();
  return w.take();
}

TokenUsage read_openai_usage(const Json& usage) {
  TokenUsage out;
  if (!usage.is_object()) return out;
  out.known = true;
  out.prompt_tokens = count_of(usage.find("prompt_tokens"));
  out.completion_tokens = count_of(usage.find("completion_tokens"));
  if (const Json* details = usage.find("prompt_tokens_details"); details != nullptr) {
    out.cached_tokens = count_of(details->find("cached_tokens"));
    out.cache_write_tokens = count_of(details->find("cache_write_tokens"));
  }
  if (const Json* details = usage.find("completion_tokens_details"); details != nullptr) {
    out.reasoning_tokens = count_of(details->find("reasoning_tokens"));
  }
  return out;
}

void merge_anthropic_usage(const Json& usage, TokenUsage& out) {
  if (!usage.is_object()) return;
  out.known = true;
  int64_t fresh = out.prompt_tokens - out.cached_tokens - out.cache_write_tokens;
  const auto take = [&](std::string_view name, int64_t& to) {
    const Json* value = usage.find(name);
    if (value != nullptr && value->is_int()) to = count_of(value);
  };
  take("input_tokens", fresh);
  take("cache_read_input_tokens", out.cached_tokens);
  take("cache_creation_input_tokens", out.cache_write_tokens);
  take("output_tokens", out.completion_tokens);
  out.prompt_tokens = fresh + out.cached_tokens + out.cache_write_tokens;
  if (const Json* details = usage.find("output_tokens_details"); details != nullptr) {
    out.reasoning_tokens = count_of(details->find("thinking_tokens"));
  }
}

Json openai_usage(const TokenUsage& usage) {
  Json out = Json::object();
  out.set("prompt_tokens", usage.prompt_tokens);
  out.set("completion_tokens", usage.completion_tokens);
  out.set("total_tokens", usage.prompt_tokens + usage.completion_tokens);
  Json prompt = Json::object();
  prompt.set("cached_tokens", usage.cached_tokens);
  prompt.set("cache_write_tokens", usage.cache_write_tokens);
  out.set("prompt_tokens_details", std::move(prompt));
  Json completion = Json::object();
  completion.set("reasoning_tokens", usage.reasoning_tokens);
  out.set("completion_tokens_details", std::move(completion));
  return out;
}

Json anthropic_usage(const TokenUsage& usage) {
  Json out = Json::object();
  const int64_t cached = usage.cached_tokens + usage.cache_write_tokens;
  out.set("input_tokens", std::max(int64_t{0}, usage.prompt_tokens - cached));
  out.set("cache_creation_input_tokens", usage.cache_write_tokens);
  out.set("cache_read_input_tokens", usage.cached_tokens);
  out.set("output_tokens", usage.completion_tokens);
  if (usage.reasoning_tokens > 0) {
    Json details = Json::object();
    details.set("thinking_tokens", usage.reasoning_tokens);
    out.set("output_tokens_details", std::move(details));
  }
  return out;
}

FinishReason read_openai_finish(std::string_view reason) {
  if (reason == "length") return FinishReason::kLength;
  if (reason == "tool_calls" || reason == "function_call") return FinishReason::kToolCalls;
  if (reason == "content_filter") return FinishReason::kFiltered;
  return FinishReason::kStop;
}

FinishReason read_anthropic_stop(std::string_view reason) {
  if (reason == "max_tokens" || reason == "model_context_window_exceeded") {
    return FinishReason::kLength;
  }
  if (reason == "tool_use") return FinishReason::kToolCalls;
  if (reason == "refusal") return FinishReason::kFiltered;
  return FinishReason::kStop;  // "end_turn", "stop_sequence", "pause_turn"
}

std::string_view anthropic_stop_reason(FinishReason reason, bool by_sequence, bool calls) {
  if (reason == FinishReason::kLength) return "max_tokens";
  if (reason == FinishReason::kFiltered) return "refusal";
  if (reason == FinishReason::kToolCalls || calls) return "tool_use";
  return by_sequence ? "stop_sequence" : "end_turn";
}

}  // namespace weir::gateway::translate
