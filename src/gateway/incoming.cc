#include "gateway/incoming.h"

#include <algorithm>
#include <limits>
#include <span>

namespace weir::gateway {
namespace {

using text::Json;

constexpr size_t kMaxModelBytes = 256;
constexpr size_t kMaxUserBytes = 1024;
// Beyond it no upstream that is known goes; counts of tokens stay far below 2^63.
constexpr int64_t kMaxChoices = 128;
// What models read, by the names of both protocols; the last two are of engines.
constexpr std::string_view kPrompt[] = {"messages",  "prompt",       "input",  "system",
                                        "tools",     "functions",    "suffix", "instructions",
                                        "documents", "chat_template"};

// Bytes of all strings: prompt, messages, tools, whatever their shape.
int64_t text_bytes(const Json& value) {
  if (value.is_string()) return static_cast<int64_t>(value.size());
  int64_t sum = 0;
  if (value.is_array()) {
    for (const Json& item : value.items()) sum += item.is_int() ? kBytesPerToken : text_bytes(item);
  } else if (value.is_object()) {
    for (const auto& [name, member] : value.members()) sum += text_bytes(member);
  }
  return sum;
}

Status read_count(const Json& body, std::string_view name, int64_t& into) {
  const Json* value = body.find(name);
  if (value == nullptr || value->is_null()) return {};
  if (!value->is_int() || value->as_int() < 0 ||
      value->as_int() > std::numeric_limits<int32_t>::max())
    return param_error(ErrorCode::kInvalidValue, name, "{} must be an integer from 0 to {}", name,
                       std::numeric_limits<int32_t>::max());
  into = value->as_int();
  return {};
}

// The names by which upstreams of a path take a bound of an answer. Another one bounds nothing: it
// is passed over there.
std::span<const std::string_view> bounds_of(std::string_view path) {
  static constexpr std::string_view kChat[] = {"max_tokens", "max_completion_tokens"};
  static constexpr std::string_view kResponses[] = {"max_output_tokens"};
  if (path == "/v1/embeddings") return {};
  if (path == "/v1/responses") return kResponses;
  const std::span<const std::string_view> both(kChat);
  return path == "/v1/chat/completions" ? both : both.first(1);
}

// All text of a value, in order.
void add_text(const Json& value, std::string& out) {
  if (value.is_string()) {
    out += value.as_string();
  } else if (value.is_int()) {  // an id of a prompt of ids
    out += std::to_string(value.as_int());
    out += ' ';
  } else if (value.is_array()) {
    for (const Json& item : value.items()) add_text(item, out);
  } else if (value.is_object()) {
    for (const auto& [name, member] : value.members())
      if (name != "role") add_text(member, out);
  }
}

}  // namespace

std::vector<PromptBlock> prompt_blocks(const Json& body, std::string_view tenant,
                                       const HashKey& key) {
  BlockConfig config;
  config.key = key;
  PromptBlocks blocks(config, tenant);
  const auto add = [&](std::string_view role, const Json& value) {
    std::string text;
    add_text(value, text);
    blocks.add(role, text);
  };
  for (const std::string_view name : {"system", "tools", "prompt", "input"})
    if (const Json* value = body.find(name)) add(name, *value);
  const Json* messages = body.find("messages");
  if (messages != nullptr && messages->is_array()) {
    for (const Json& m : messages->items()) {
      const Json* role = m.find("role");
      add(role != nullptr && role->is_string() ? role->as_string() : "", m);
    }
  }
  const auto found = blocks.blocks();
  return {found.begin(), found.end()};
}

Result<bool> rename_bound(Json& body) {
  constexpr std::string_view kOwn = "n_predict";
  Json* own = body.is_object() ? body.find(kOwn) : nullptr;
  if (own == nullptr || own->is_null()) return false;
  const int64_t most = own->is_int() ? own->as_int() : -2;
  if (most < -1 || most > std::numeric_limits<int32_t>::max())
    return param_error(ErrorCode::kInvalidValue, kOwn,
                       "n_predict must be an integer, -1 for no bound; max_tokens is understood "
                       "by every upstream");
  *own = Json();
  if (most >= 0) body.set("max_tokens", most);
  return true;
}

Result<Incoming> read_incoming(std::string_view path, const Json& json) {
  if (!json.is_object())
    return make_error(ErrorCode::kInvalidJson, "the body must be an object, not {}",
                      json.type_name());
  Incoming in;
  const Json* model = json.find("model");
  if (model == nullptr || !model->is_string() || model->size() == 0 ||
      model->size() > kMaxModelBytes)
    return param_error(ErrorCode::kInvalidValue, "model",
                       "model must be a string of 1 to {} bytes: GET /v1/models lists them",
                       kMaxModelBytes);
  in.model = model->as_string();
  if (const Json* stream = json.find("stream"); stream != nullptr && !stream->is_null()) {
    if (!stream->is_bool())
      return param_error(ErrorCode::kInvalidValue, "stream", "stream must be true or false, not {}",
                         stream->type_name());
    in.stream = stream->as_bool();
  }
  if (const Json* options = json.find("stream_options"); options != nullptr) {
    const Json* usage = options->find("include_usage");
    in.include_usage = usage != nullptr && *usage == Json(true);
  }
  if (const Json* user = json.find("user");
      user != nullptr && user->is_string() && user->size() <= kMaxUserBytes)
    in.user = user->as_string();
  for (const std::string_view name : bounds_of(path)) {
    int64_t most = 0;
    WEIR_TRY(read_count(json, name, most));
    in.max_output_tokens = std::max(in.max_output_tokens, most);
  }
  int64_t best_of = 1;
  WEIR_TRY(read_count(json, "n", in.choices));
  WEIR_TRY(read_count(json, "best_of", best_of));
  in.choices = std::clamp<int64_t>(std::max(in.choices, best_of), 1, kMaxChoices);
  for (const std::string_view name : kPrompt)
    if (const Json* value = json.find(name)) in.input_tokens += text_bytes(*value);
  in.input_tokens = (in.input_tokens + kBytesPerToken - 1) / kBytesPerToken;
  in.counts = path == "/v1/messages/count_tokens";
  in.generates = !in.counts && path != "/v1/embeddings";
  if (in.counts) {  // what would be asked is of the request that it stands for
    in.stream = false;
    in.max_output_tokens = 0;
  }
  return in;
}

}  // namespace weir::gateway
