// POST /v1/messages, read for an upstream of the other protocol. The fields are those of
// Anthropic's Python client 2.14 (types/message_create_params.py), with the sampling parameters and
// the output_format that its predecessors have.
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
constexpr std::array<std::string_view, 11> kDropped{
    "cache_control",  "service_tier",       "speed",       "inference_geo",
    "diagnostics",    "context_management", "betas",       "user_profile_id",
    "anthropic_beta", "anthropic_version",  "workspace_id"};
// What would change the answer.
constexpr std::array<std::string_view, 2> kRefused{"container", "mcp_servers"};

Error no_equivalent(std::string_view path, std::string_view remedy) {
  return param_error(ErrorCode::kInvalidValue, path,
                     "{} has no equivalent at this model's upstream, which speaks the OpenAI "
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
    WEIR_TRY(read_system());
    WEIR_TRY(read_tools(f_, body_, options_.limits,
                        [this](const Json& tool, std::string_view raw, const std::string& path) {
                          return read_tool(tool, raw, path);
                        }));
    WEIR_TRY(read_tool_choice());
    WEIR_TRY(read_thinking());
    WEIR_TRY(read_output());
    WEIR_TRY(read_messages());
    WEIR_TRY(read_unknown_members(f_, options_, c_));
    return std::move(c_);
  }

 private:
  Status read_unsupported() {
    for (const std::string_view name : kDropped) {
      if (f_.find(name) != nullptr) c_.alter(name);
    }
    for (const std::string_view name : kRefused) {
      const Json* value = f_.find(name);
      if (value == nullptr || (value->is_array() && value->size() == 0)) continue;
      if (!options_.drop_unsupported) return no_equivalent(name, "leave it out");
      c_.alter(name);
    }
    return {};
  }

  Status read_numbers() {
    WEIR_ASSIGN([[maybe_unused]] const Json* needed, f_.require("max_tokens"));
    WEIR_ASSIGN(c_.max_tokens, f_.integer("max_tokens", 1, kMaxInt));
    WEIR_ASSIGN(c_.temperature, f_.number("temperature", 0, 1));
    WEIR_ASSIGN(c_.top_p, f_.number("top_p", 0, 1));
    WEIR_ASSIGN(c_.top_k, f_.integer("top_k", 0, kMaxInt));
    WEIR_ASSIGN(c_.stop, f_.strings("stop_sequences", 1024));
    WEIR_ASSIGN(const auto stream, f_.boolean("stream"));
    c_.stream = stream.value_or(false);
    if (const Json* value = f_.find("metadata"); value != nullptr) {
      WEIR_ASSIGN(Fields m, Fields::of(*value, "metadata"));
      WEIR_ASSIGN(c_.user, m.string("user_id"));
    }
    return {};
  }

  Status read_system() {
    const Json* system = f_.find("system");
    if (system == nullptr) return {};
    c_.system_plain = system->is_string();
    return read_texts(*system, "system", c_.system);
  }

  // A string or an array of text blocks.
  Status read_texts(const Json& content, const std::string& path, std::vector<ContentBlock>& out) {
    WEIR_TRY(read_content(content, "", path, out));
    for (const ContentBlock& block : out) {
      if (block.kind != Kind::kText) {
        return param_error(ErrorCode::kInvalidValue, path, "{} may hold only text", path);
      }
    }
    c_.system_plain = c_.system_plain && c_.system.size() == 1;
    return {};
  }

  Status read_tool(const Json& tool, std::string_view raw, const std::string& path) {
    WEIR_ASSIGN(Fields f, Fields::of(tool, path));
    WEIR_ASSIGN(const auto type, f.string("type"));
    if (type.value_or("custom") != "custom") {
      if (options_.drop_unsupported) {
        c_.alter("tools[].type");
        return {};
      }
      return no_equivalent(f.path("type"),
                           fmt::format("{} runs at Anthropic or is known to its models alone; "
                                       "define a custom tool",
                                       quoted(*type)));
    }
    ToolDefinition out;
    WEIR_ASSIGN(out.name, f.require_string("name"));
    WEIR_ASSIGN(out.description, f.string("description"));
    WEIR_ASSIGN(out.strict, f.boolean("strict"));
    WEIR_ASSIGN(const Json* schema, f.require("input_schema"));
    if (!schema->is_object()) return wrong_type(f.path("input_schema"), "an object", *schema);
    out.schema = skim_member(raw, "input_schema").value_or("");
    c_.tools.push_back(std::move(out));
    return {};
  }

  Status read_tool_choice() {
    const Json* choice = f_.find("tool_choice");
    if (choice == nullptr) return {};
    WEIR_ASSIGN(Fields f, Fields::of(*choice, "tool_choice"));
    WEIR_ASSIGN(const std::string name, f.require_string("type"));
    if (name == "auto") c_.tool_choice = ToolChoice::kAuto;
    if (name == "any") c_.tool_choice = ToolChoice::kRequired;
    if (name == "none") c_.tool_choice = ToolChoice::kNone;
    if (name == "tool") {
      WEIR_ASSIGN(c_.tool_name, f.require_string("name"));
      c_.tool_choice = ToolChoice::kNamed;
    }
    if (c_.tool_choice == ToolChoice::kUnset) {
      return param_error(ErrorCode::kInvalidValue, "tool_choice.type",
                         "tool_choice.type is {}; it must be one of auto, any, tool, none",
                         quoted(name));
    }
    WEIR_ASSIGN(const auto one, f.boolean("disable_parallel_tool_use"));
    if (one.has_value()) c_.parallel_tool_calls = !*one;
    return {};
  }

  Status read_thinking() {
    const Json* thinking = f_.find("thinking");
    if (thinking == nullptr) return {};
    WEIR_ASSIGN(Fields f, Fields::of(*thinking, "thinking"));
    WEIR_ASSIGN(const auto type, f.string("type"));
    WEIR_ASSIGN(const auto budget, f.integer("budget_tokens", 0, kMaxInt));
    if (type.value_or("") == "enabled") c_.thinking_budget_tokens = budget;
    return {};
  }

  Status read_output() {
    if (const Json* config = f_.find("output_config"); config != nullptr) {
      WEIR_ASSIGN(Fields f, Fields::of(*config, "output_config"));
      WEIR_ASSIGN(c_.effort, f.string("effort"));
      const auto raw = skim_member(body_, "output_config");
      if (const Json* format = f.find("format"); format != nullptr) {
        return read_format(*format, skim_member(raw.value_or(""), "format"), f.path("format"));
      }
    }
    if (const Json* format = f_.find("output_format"); format != nullptr) {
      return read_format(*format, skim_member(body_, "output_format"), "output_format");
    }
    return {};
  }

  Status read_format(const Json& format, std::optional<std::string_view> raw,
                     const std::string& path) {
    WEIR_ASSIGN(Fields f, Fields::of(format, path));
    WEIR_ASSIGN(const auto type, f.string("type"));
    if (type.value_or("") != "json_schema") {
      return param_error(ErrorCode::kInvalidValue, f.path("type"), "{} must be \"json_schema\"",
                         f.path("type"));
    }
    WEIR_ASSIGN(const Json* schema, f.require("schema"));
    if (!schema->is_object()) return wrong_type(f.path("schema"), "an object", *schema);
    OutputSchema out;
    out.name = "output";  // OpenAI wants one
    out.schema = skim_member(raw.value_or(""), "schema").value_or("");
    out.strict = true;
    c_.output = std::move(out);
    return {};
  }

  Status read_messages() {
    WEIR_ASSIGN(const Json* messages, require_messages(f_, options_.limits));
    JsonSkim raw(skim_member(body_, "messages").value_or(""));
    for (size_t i = 0; i < messages->size(); ++i) {
      const std::string_view text = raw.next() ? raw.value() : std::string_view();
      WEIR_TRY(read_message(messages->items()[i], text, index_path("messages", i)));
    }
    return {};
  }

  Status read_message(const Json& message, std::string_view raw, const std::string& path) {
    WEIR_ASSIGN(Fields f, Fields::of(message, path));
    WEIR_ASSIGN(const std::string name, f.require_string("role"));
    WEIR_ASSIGN(const Json* content, f.require("content"));
    Role side = Role::kUser;
    if (name == "assistant") side = Role::kAssistant;
    if (name == "system") side = Role::kSystem;
    if (name != "user" && side == Role::kUser) {
      return param_error(ErrorCode::kInvalidValue, f.path("role"),
                         "{} is {}; it must be one of user, assistant, system", f.path("role"),
                         quoted(name));
    }
    std::vector<ContentBlock> blocks;
    if (side == Role::kSystem) {
      WEIR_TRY(read_texts(*content, f.path("content"), blocks));
    } else {
      WEIR_TRY(read_content(*content, skim_member(raw, "content").value_or(""), f.path("content"),
                            blocks));
    }
    for (ContentBlock& block : blocks) append_block(c_.turns, side, std::move(block));
    if (!blocks.empty() && c_.turns.back().blocks.size() == 1) {
      c_.turns.back().plain = content->is_string();
    }
    return {};
  }

  Status read_content(const Json& content, std::string_view raw, const std::string& path,
                      std::vector<ContentBlock>& out) {
    if (content.is_string()) {
      WEIR_TRY(count_block());
      if (!content.as_string().empty()) out.emplace_back().text = content.as_string();
      return {};
    }
    if (!content.is_array()) {
      return wrong_type(path, "a string or an array of content blocks", content);
    }
    JsonSkim items(raw);
    for (size_t i = 0; i < content.size(); ++i) {
      WEIR_TRY(count_block());
      const std::string_view text = items.next() ? items.value() : std::string_view();
      WEIR_TRY(read_block(content.items()[i], text, index_path(path, i), out));
    }
    return {};
  }

  Status read_block(const Json& value, std::string_view raw, const std::string& path,
                    std::vector<ContentBlock>& out) {
    WEIR_ASSIGN(Fields f, Fields::of(value, path));
    WEIR_ASSIGN(const std::string name, f.require_string("type"));
    if (f.find("cache_control") != nullptr) c_.alter("cache_control");
    if (name == "text") {
      WEIR_ASSIGN(std::string text, f.require_string("text"));
      if (!text.empty()) out.emplace_back().text = std::move(text);
      return {};
    }
    if (name == "image") return read_image(f, out);
    if (name == "document") return read_document(f, out);
    if (name == "tool_use") return read_tool_use(f, raw, out);
    if (name == "tool_result") return read_tool_result(f, out);
    if (name == "thinking" || name == "redacted_thinking") {
      // Signed for the model that wrote it; no other has a use for it.
      c_.alter("messages[].content[].thinking");
      return {};
    }
    return no_equivalent(f.path("type"),
                         fmt::format("{} is none of text, image, document, tool_use, tool_result, "
                                     "thinking",
                                     quoted(name)));
  }

  Status read_image(Fields& f, std::vector<ContentBlock>& out) {
    WEIR_ASSIGN(const Json* source, f.require("source"));
    WEIR_ASSIGN(Fields s, Fields::of(*source, f.path("source")));
    WEIR_ASSIGN(const std::string type, s.require_string("type"));
    ContentBlock block;
    block.kind = Kind::kImage;
    if (type == "base64") {
      WEIR_ASSIGN(block.media_type, s.require_string("media_type"));
      WEIR_ASSIGN(block.text, s.require_string("data"));
    } else if (type == "url") {
      WEIR_ASSIGN(block.text, s.require_string("url"));
    } else {
      return no_equivalent(s.path("type"), "use base64 or url");
    }
    out.push_back(std::move(block));
    return {};
  }

  // PDFs become files, plain texts texts.
  Status read_document(Fields& f, std::vector<ContentBlock>& out) {
    WEIR_ASSIGN(const Json* source, f.require("source"));
    WEIR_ASSIGN(Fields s, Fields::of(*source, f.path("source")));
    WEIR_ASSIGN(const std::string type, s.require_string("type"));
    ContentBlock block;
    if (type != "base64" && type != "text") {
      return no_equivalent(s.path("type"), "use base64 or text");
    }
    WEIR_ASSIGN(block.text, s.require_string("data"));
    if (type == "base64") {
      block.kind = Kind::kDocument;
      WEIR_ASSIGN(block.media_type, s.require_string("media_type"));
      WEIR_ASSIGN(auto title, f.string("title"));
      block.name = std::move(title).value_or("");
    }
    if (!block.text.empty()) out.push_back(std::move(block));
    return {};
  }

  static Status read_tool_use(Fields& f, std::string_view raw, std::vector<ContentBlock>& out) {
    ContentBlock block;
    block.kind = Kind::kToolCall;
    WEIR_ASSIGN(block.id, f.require_string("id"));
    block.id = decode_tool_id(block.id);
    WEIR_ASSIGN(block.name, f.require_string("name"));
    WEIR_ASSIGN(const Json* input, f.require("input"));
    if (!input->is_object()) return wrong_type(f.path("input"), "an object", *input);
    block.text = input_to_arguments(skim_member(raw, "input").value_or("{}"));
    out.push_back(std::move(block));
    return {};
  }

  Status read_tool_result(Fields& f, std::vector<ContentBlock>& out) {
    ContentBlock block;
    block.kind = Kind::kToolResult;
    WEIR_ASSIGN(block.id, f.require_string("tool_use_id"));
    block.id = decode_tool_id(block.id);
    WEIR_ASSIGN(const auto error, f.boolean("is_error"));
    if (error.value_or(false)) c_.alter("messages[].content[].is_error");
    if (const Json* content = f.find("content"); content != nullptr) {
      WEIR_TRY(read_content(*content, "", f.path("content"), block.parts));
    }
    for (const ContentBlock& part : block.parts) {
      if (part.kind != Kind::kText && part.kind != Kind::kImage) {
        return no_equivalent(f.path("content"), "results of tools hold texts and images");
      }
    }
    out.push_back(std::move(block));
    return {};
  }

  Status count_block() { return translate::count_block(blocks_, options_.limits); }

  std::string_view body_;
  Fields f_;
  const TranslateOptions& options_;
  Conversation c_;
  size_t blocks_ = 0;
};

}  // namespace

Result<Conversation> read_anthropic_request(std::string_view body,
                                            const TranslateOptions& options) {
  WEIR_ASSIGN(const Json json, parse_bounded(body, options.limits));
  WEIR_ASSIGN(Fields fields, Fields::of(json));
  return Reader(body, std::move(fields), options).read();
}

}  // namespace weir::gateway::translate
