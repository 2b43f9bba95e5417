// POST /v1/chat/completions, read for an upstream of the other protocol. The fields are those of
// OpenAI's Python client 3.54 (types/chat/completion_create_params.py).
#include <array>
#include <limits>
#include <utility>

#include "api/fields.h"
#include "gateway/translate/json_skim.h"
#include "gateway/translate/requests.h"

namespace weir::gateway::translate {
namespace {

using api::Fields;
using api::index_path;
using api::wrong_type;
using text::Json;
using Kind = ContentBlock::Kind;

constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();

// Hints, and bookkeeping on the provider's side: an answer without them is as good.
constexpr std::array<std::string_view, 9> kDropped{
    "seed",       "service_tier",           "store",
    "metadata",   "prompt_cache_key",       "prompt_cache_options",
    "prediction", "prompt_cache_retention", "verbosity"};

// What would change the answer.
constexpr std::array<std::string_view, 12> kRefused{
    "n",          "logprobs",         "top_logprobs",
    "logit_bias", "presence_penalty", "frequency_penalty",
    "audio",      "modalities",       "web_search_options",
    "functions",  "function_call",    "moderation"};

// Whether a field of kRefused has the value that it has when it is left out.
bool says_nothing(std::string_view name, const Json& value) {
  if (name == "n") return value == Json(1);
  if (name == "logprobs") return value == Json(false);
  if (value.is_number()) return value.as_double() == 0;
  if (name == "modalities") {
    return value.is_array() && value.size() == 1 && value.items()[0] == Json("text");
  }
  return (value.is_object() || value.is_array()) && value.size() == 0;
}

Error no_equivalent(std::string_view path, std::string_view remedy) {
  return param_error(ErrorCode::kInvalidValue, path,
                     "{} has no equivalent at this model's upstream, which speaks the Anthropic "
                     "protocol; {}",
                     path, remedy);
}

class Reader {
 public:
  Reader(std::string_view body, Fields fields, const TranslateOptions& options)
      : body_(body), f_(std::move(fields)), options_(options) {}

  Result<Conversation> read() {
    WEIR_ASSIGN(c_.model, f_.require_string("model"));
    WEIR_TRY(read_unsupported());
    WEIR_TRY(read_numbers());
    WEIR_TRY(read_tools(f_, body_, options_.limits,
                        [this](const Json& tool, std::string_view raw, const std::string& path) {
                          return read_tool(tool, raw, path);
                        }));
    WEIR_TRY(read_tool_choice());
    WEIR_TRY(read_response_format());
    WEIR_TRY(read_messages());
    WEIR_TRY(read_unknown());
    return std::move(c_);
  }

 private:
  Status read_unsupported() {
    for (const std::string_view name : kDropped) {
      if (f_.find(name) != nullptr) c_.alter(name);
    }
    for (const std::string_view name : kRefused) {
      const Json* value = f_.find(name);
      if (value == nullptr || says_nothing(name, *value)) continue;
      if (!options_.drop_unsupported) {
        return no_equivalent(name, name == "functions" || name == "function_call"
                                       ? "use tools and tool_choice"
                                       : "leave it out");
      }
      c_.alter(name);
    }
    return {};
  }

  Status read_numbers() {
    WEIR_ASSIGN(const auto old_max, f_.integer("max_tokens", 1, kMaxInt));
    WEIR_ASSIGN(c_.max_tokens, f_.integer("max_completion_tokens", 1, kMaxInt));
    if (!c_.max_tokens.has_value()) c_.max_tokens = old_max;
    WEIR_ASSIGN(c_.temperature, f_.number("temperature", 0, 2));
    WEIR_ASSIGN(c_.top_p, f_.number("top_p", 0, 1));
    WEIR_ASSIGN(c_.top_k, f_.integer("top_k", -1, kMaxInt));  // engines take it; -1 and 0: off
    if (c_.top_k.value_or(1) < 1) c_.top_k.reset();
    WEIR_ASSIGN(c_.stop, f_.strings("stop", 64));
    WEIR_ASSIGN(c_.parallel_tool_calls, f_.boolean("parallel_tool_calls"));
    WEIR_ASSIGN(c_.effort, f_.string("reasoning_effort"));
    WEIR_ASSIGN(c_.user, f_.string("user"));
    WEIR_ASSIGN(auto safety_identifier, f_.string("safety_identifier"));
    if (!c_.user.has_value()) c_.user = std::move(safety_identifier);
    WEIR_ASSIGN(const auto stream, f_.boolean("stream"));
    c_.stream = stream.value_or(false);
    if (const Json* value = f_.find("stream_options"); value != nullptr) {
      WEIR_ASSIGN(Fields o, Fields::of(*value, "stream_options"));
      WEIR_ASSIGN(const auto usage, o.boolean("include_usage"));
      c_.include_usage = usage.value_or(false);
    }
    return {};
  }

  Status read_tool(const Json& tool, std::string_view raw, const std::string& path) {
    WEIR_ASSIGN(Fields f, Fields::of(tool, path));
    WEIR_ASSIGN(const auto type, f.string("type"));
    if (type.value_or("function") != "function") {
      return no_equivalent(f.path("type"), "only tools of type \"function\" are translated");
    }
    WEIR_ASSIGN(const Json* function, f.require("function"));
    WEIR_ASSIGN(Fields fn, Fields::of(*function, f.path("function")));
    ToolDefinition out;
    WEIR_ASSIGN(auto name, fn.string("name"));
    if (!name.has_value()) {
      return param_error(ErrorCode::kInvalidValue, fn.path("name"), "{} is required",
                         fn.path("name"));
    }
    out.name = std::move(*name);
    WEIR_ASSIGN(out.description, fn.string("description"));
    WEIR_ASSIGN(out.strict, fn.boolean("strict"));
    if (const Json* schema = fn.find("parameters"); schema != nullptr) {
      if (!schema->is_object()) return wrong_type(fn.path("parameters"), "an object", *schema);
      const auto in = skim_member(raw, "function");
      out.schema = skim_member(in.value_or(""), "parameters").value_or("");
    }
    c_.tools.push_back(std::move(out));
    return {};
  }

  Status read_tool_choice() {
    const Json* choice = f_.find("tool_choice");
    if (choice == nullptr) return {};
    if (choice->is_string()) {
      const std::string& name = choice->as_string();
      if (name == "auto") c_.tool_choice = ToolChoice::kAuto;
      if (name == "none") c_.tool_choice = ToolChoice::kNone;
      if (name == "required") c_.tool_choice = ToolChoice::kRequired;
      if (c_.tool_choice != ToolChoice::kUnset) return {};
      return param_error(ErrorCode::kInvalidValue, "tool_choice",
                         "tool_choice is {}; it must be \"auto\", \"none\", \"required\" or a "
                         "function's name in an object",
                         quoted(name));
    }
    WEIR_ASSIGN(Fields f, Fields::of(*choice, "tool_choice"));
    WEIR_ASSIGN(const auto type, f.string("type"));
    if (type.value_or("function") != "function") {
      return no_equivalent("tool_choice.type", "only \"function\" is translated");
    }
    WEIR_ASSIGN(const Json* function, f.require("function"));
    WEIR_ASSIGN(Fields fn, Fields::of(*function, "tool_choice.function"));
    WEIR_ASSIGN(c_.tool_name, fn.require_string("name"));
    c_.tool_choice = ToolChoice::kNamed;
    return {};
  }

  Status read_response_format() {
    const Json* format = f_.find("response_format");
    if (format == nullptr) return {};
    WEIR_ASSIGN(Fields f, Fields::of(*format, "response_format"));
    WEIR_ASSIGN(const auto type, f.string("type"));
    if (type.value_or("") == "text") return {};
    if (type.value_or("") != "json_schema") {
      if (options_.drop_unsupported) {
        c_.alter("response_format");
        return {};
      }
      return no_equivalent("response_format.type", "give a json_schema");
    }
    WEIR_ASSIGN(const Json* holder, f.require("json_schema"));
    WEIR_ASSIGN(Fields h, Fields::of(*holder, f.path("json_schema")));
    WEIR_ASSIGN(const Json* schema, h.require("schema"));
    if (!schema->is_object()) return wrong_type(h.path("schema"), "an object", *schema);
    OutputSchema out;
    WEIR_ASSIGN(auto name, h.string("name"));
    out.name = std::move(name).value_or("");
    WEIR_ASSIGN(out.strict, h.boolean("strict"));
    const auto raw = skim_member(skim_member(body_, "response_format").value_or(""), "json_schema");
    out.schema = skim_member(raw.value_or(""), "schema").value_or("");
    c_.output = std::move(out);
    return {};
  }

  Status read_messages() {
    WEIR_ASSIGN(const Json* messages, require_messages(f_, options_.limits));
    for (size_t i = 0; i < messages->size(); ++i) {
      WEIR_TRY(read_message(messages->items()[i], index_path("messages", i)));
    }
    c_.system_plain = c_.system_plain && c_.system.size() == 1;
    return {};
  }

  Status read_message(const Json& message, const std::string& path) {
    WEIR_ASSIGN(Fields f, Fields::of(message, path));
    WEIR_ASSIGN(const std::string name, f.require_string("role"));
    if (f.find("name") != nullptr) c_.alter("messages[].name");
    if (name == "system" || name == "developer") return read_system(f);
    if (name == "user") return read_turn(f, Role::kUser);
    if (name == "assistant") return read_assistant(f);
    if (name == "tool") return read_tool_result(f);
    if (name == "function") {
      return no_equivalent(f.path("role"), "use role \"tool\" with tool_call_id");
    }
    return param_error(ErrorCode::kInvalidValue, f.path("role"),
                       "{} is {}; it must be one of system, developer, user, assistant, tool",
                       f.path("role"), quoted(name));
  }

  // Anthropic has one system prompt, at the front: all of them go there, in their order.
  Status read_system(Fields& f) {
    WEIR_ASSIGN(const Json* content, f.require("content"));
    std::vector<ContentBlock> blocks;
    WEIR_TRY(read_content(*content, f.path("content"), blocks));
    for (ContentBlock& block : blocks) {
      if (block.kind != Kind::kText) {
        return param_error(ErrorCode::kInvalidValue, f.path("content"), "{} may hold only text",
                           f.path("content"));
      }
      c_.system.push_back(std::move(block));
    }
    c_.system_plain = content->is_string();
    return {};
  }

  Status read_turn(Fields& f, Role role) {
    WEIR_ASSIGN(const Json* content, f.require("content"));
    return append_content(*content, f.path("content"), role);
  }

  Status append_content(const Json& content, const std::string& path, Role role) {
    std::vector<ContentBlock> blocks;
    WEIR_TRY(read_content(content, path, blocks));
    for (ContentBlock& block : blocks) append_block(c_.turns, role, std::move(block));
    if (!blocks.empty() && c_.turns.back().blocks.size() == 1) {
      c_.turns.back().plain = content.is_string();
    }
    return {};
  }

  Status read_assistant(Fields& f) {
    for (const std::string_view name : {"function_call", "audio"}) {
      if (f.find(name) != nullptr) return no_equivalent(f.path(name), "leave it out");
    }
    for (const std::string_view name : {"reasoning_content", "reasoning"}) {
      if (f.find(name) != nullptr) c_.alter(fmt::format("messages[].{}", name));
    }
    if (const Json* content = f.find("content"); content != nullptr) {
      WEIR_TRY(append_content(*content, f.path("content"), Role::kAssistant));
    }
    WEIR_ASSIGN(auto refusal, f.string("refusal"));
    if (refusal.has_value()) WEIR_TRY(add_text(*refusal));
    const Json* calls = f.find("tool_calls");
    if (calls == nullptr) return {};
    if (!calls->is_array()) return wrong_type(f.path("tool_calls"), "an array", *calls);
    for (size_t i = 0; i < calls->size(); ++i) {
      WEIR_TRY(read_tool_call(calls->items()[i], index_path(f.path("tool_calls"), i)));
    }
    return {};
  }

  Status add_text(const std::string& text) {
    if (text.empty()) return {};
    WEIR_TRY(count_block());
    ContentBlock block;
    block.text = text;
    append_block(c_.turns, Role::kAssistant, std::move(block));
    return {};
  }

  Status read_tool_call(const Json& call, const std::string& path) {
    WEIR_TRY(count_block());
    WEIR_ASSIGN(Fields f, Fields::of(call, path));
    WEIR_ASSIGN(const auto type, f.string("type"));
    if (type.value_or("function") != "function") {
      return no_equivalent(f.path("type"), "only calls of type \"function\" are translated");
    }
    ContentBlock block;
    block.kind = Kind::kToolCall;
    WEIR_ASSIGN(block.id, f.require_string("id"));
    WEIR_ASSIGN(const Json* function, f.require("function"));
    WEIR_ASSIGN(Fields fn, Fields::of(*function, f.path("function")));
    WEIR_ASSIGN(block.name, fn.require_string("name"));
    WEIR_ASSIGN(auto arguments, fn.string("arguments"));
    block.text = std::move(arguments).value_or("");
    append_block(c_.turns, Role::kAssistant, std::move(block));
    return {};
  }

  Status read_tool_result(Fields& f) {
    WEIR_TRY(count_block());
    ContentBlock block;
    block.kind = Kind::kToolResult;
    WEIR_ASSIGN(block.id, f.require_string("tool_call_id"));
    WEIR_ASSIGN(const Json* content, f.require("content"));
    WEIR_TRY(read_content(*content, f.path("content"), block.parts));
    append_block(c_.turns, Role::kUser, std::move(block));
    return {};
  }

  // A string or an array of parts; empty texts are left out, as Anthropic refuses them.
  Status read_content(const Json& content, const std::string& path,
                      std::vector<ContentBlock>& out) {
    if (content.is_string()) {
      if (content.as_string().empty()) return {};
      WEIR_TRY(count_block());
      out.emplace_back().text = content.as_string();
      return {};
    }
    if (!content.is_array()) {
      return wrong_type(path, "a string or an array of content parts", content);
    }
    for (size_t i = 0; i < content.size(); ++i) {
      WEIR_TRY(count_block());
      WEIR_TRY(read_part(content.items()[i], index_path(path, i), out));
    }
    return {};
  }

  Status read_part(const Json& part, const std::string& path, std::vector<ContentBlock>& out) {
    WEIR_ASSIGN(Fields f, Fields::of(part, path));
    WEIR_ASSIGN(const std::string name, f.require_string("type"));
    if (name == "text" || name == "refusal") {
      WEIR_ASSIGN(std::string text, f.require_string(name));
      if (!text.empty()) out.emplace_back().text = std::move(text);
      return {};
    }
    if (name == "image_url") return read_image(f, out);
    if (name == "file") return read_file(f, out);
    return no_equivalent(f.path("type"),
                         fmt::format("{} is none of text, image_url, file", quoted(name)));
  }

  Status read_image(Fields& f, std::vector<ContentBlock>& out) {
    WEIR_ASSIGN(const Json* image, f.require("image_url"));
    WEIR_ASSIGN(Fields i, Fields::of(*image, f.path("image_url")));
    WEIR_ASSIGN(const std::string url, i.require_string("url"));
    if (i.find("detail") != nullptr) c_.alter("image_url.detail");
    ContentBlock block;
    block.kind = Kind::kImage;
    if (url.starts_with("https://")) {
      block.text = url;
    } else {
      WEIR_TRY(read_data_url(url, i.path("url"), block));
      if (block.media_type == "image/jpg") block.media_type = "image/jpeg";
      static constexpr std::array<std::string_view, 4> kTypes{"image/jpeg", "image/png",
                                                              "image/gif", "image/webp"};
      bool known = false;
      for (const std::string_view type : kTypes) known = known || block.media_type == type;
      if (!known) {
        return param_error(ErrorCode::kInvalidValue, i.path("url"),
                           "{} holds {}; it must be one of {}", i.path("url"),
                           quoted(block.media_type), fmt::join(kTypes, ", "));
      }
    }
    out.push_back(std::move(block));
    return {};
  }

  Status read_file(Fields& f, std::vector<ContentBlock>& out) {
    WEIR_ASSIGN(const Json* file, f.require("file"));
    WEIR_ASSIGN(Fields i, Fields::of(*file, f.path("file")));
    if (i.find("file_id") != nullptr) return no_equivalent(i.path("file_id"), "send file_data");
    WEIR_ASSIGN(const std::string data, i.require_string("file_data"));
    ContentBlock block;
    block.kind = Kind::kDocument;
    WEIR_TRY(read_data_url(data, i.path("file_data"), block));
    if (block.media_type != "application/pdf") {
      return no_equivalent(i.path("file_data"), "only application/pdf is translated");
    }
    WEIR_ASSIGN(auto name, i.string("filename"));
    block.name = std::move(name).value_or("");
    out.push_back(std::move(block));
    return {};
  }

  // "data:image/png;base64,…"
  static Status read_data_url(const std::string& url, const std::string& path,
                              ContentBlock& block) {
    const std::string_view text(url);
    const size_t comma = text.find(',');
    constexpr std::string_view kScheme = "data:";
    constexpr std::string_view kBase64 = ";base64";
    if (!text.starts_with(kScheme) || comma == std::string_view::npos ||
        !text.substr(0, comma).ends_with(kBase64)) {
      return param_error(ErrorCode::kInvalidValue, path,
                         "{} must be an https:// URL or data:TYPE;base64,…", path);
    }
    block.media_type = text.substr(kScheme.size(), comma - kScheme.size() - kBase64.size());
    block.text = text.substr(comma + 1);
    return {};
  }

  Status count_block() { return translate::count_block(blocks_, options_.limits); }

  // Members that neither protocol has, such as min_p.
  Status read_unknown() { return read_unknown_members(f_, options_, c_); }

  std::string_view body_;
  Fields f_;
  const TranslateOptions& options_;
  Conversation c_;
  size_t blocks_ = 0;
};

}  // namespace

Result<Conversation> read_openai_request(std::string_view body, const TranslateOptions& options) {
  WEIR_ASSIGN(const Json json, parse_bounded(body, options.limits));
  WEIR_ASSIGN(Fields fields, Fields::of(json));
  return Reader(body, std::move(fields), options).read();
}

}  // namespace weir::gateway::translate
