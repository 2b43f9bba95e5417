// What reading the requests of both protocols has in common.
#include <algorithm>

#include "gateway/translate/json_skim.h"
#include "gateway/translate/requests.h"
#include "text/utf8.h"

namespace weir::gateway::translate {

using api::Fields;
using text::Json;

std::string quoted(const std::string& text) { return text::json_quote(text::cut_utf8(text, 40)); }

Status read_tools(Fields& fields, std::string_view body, const TranslateLimits& limits,
                  const ReadTool& read) {
  const Json* tools = fields.find("tools");
  if (tools == nullptr) return {};
  if (!tools->is_array()) return api::wrong_type("tools", "an array", *tools);
  if (tools->size() > limits.max_tools) {
    return param_error(ErrorCode::kInvalidValue, "tools",
                       "tools has {} items; at most {} are taken", tools->size(), limits.max_tools);
  }
  JsonSkim raw(skim_member(body, "tools").value_or(""));
  for (size_t i = 0; i < tools->size(); ++i) {
    const std::string_view bytes = raw.next() ? raw.value() : std::string_view();
    WEIR_TRY(read(tools->items()[i], bytes, api::index_path("tools", i)));
  }
  return {};
}

Result<const Json*> require_messages(Fields& fields, const TranslateLimits& limits) {
  WEIR_ASSIGN(const Json* messages, fields.require("messages"));
  if (!messages->is_array()) return api::wrong_type("messages", "an array of messages", *messages);
  if (messages->size() > limits.max_messages) {
    return param_error(ErrorCode::kInvalidValue, "messages",
                       "messages has {} items; at most {} are taken", messages->size(),
                       limits.max_messages);
  }
  return messages;
}

Status count_block(size_t& blocks, const TranslateLimits& limits) {
  if (++blocks <= limits.max_blocks) return {};
  return param_error(ErrorCode::kInvalidValue, "messages",
                     "messages hold more than {} content blocks or parts", limits.max_blocks);
}

Status read_unknown_members(Fields& fields, const TranslateOptions& options, Conversation& out) {
  constexpr int kNamed = 16;  // each costs a pass over the members
  for (int i = 0; i < kNamed; ++i) {
    Status left = fields.finish(true);
    if (left.ok()) return {};
    if (options.refuse_unknown) return left;
    const std::string& name = left.error().param;
    constexpr std::string_view kPlain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const bool plain = name.size() <= 64 && name.find_first_not_of(kPlain) == std::string::npos;
    out.alter(plain ? std::string_view(name) : "a member of another name");
    fields.find(name);
  }
  return {};
}

Result<Json> parse_bounded(std::string_view body, const TranslateLimits& limits) {
  if (body.size() > limits.max_body_bytes) {
    return make_error(ErrorCode::kBodyTooLarge, "the body has {} bytes; at most {} are taken",
                      body.size(), limits.max_body_bytes);
  }
  text::JsonLimits json;
  json.max_depth = std::min(limits.max_depth, kSkimDepth);  // raw parts are skimmed
  json.max_values = limits.max_values;
  json.replace_lone_surrogates = true;
  return Json::parse(body, json);
}

}  // namespace weir::gateway::translate
