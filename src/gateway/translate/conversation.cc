#include "gateway/translate/conversation.h"

#include <algorithm>
#include <utility>

#include "gateway/translate/json_skim.h"
#include "gateway/translate/protocol.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::gateway {

std::string_view protocol_name(Protocol protocol) {
  return protocol == Protocol::kOpenAi ? "openai" : "anthropic";
}

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kToolCalls:
      return "tool_calls";
    case FinishReason::kFiltered:
      return "content_filter";
    case FinishReason::kNone:
      break;
  }
  return "";
}

}  // namespace weir::gateway

namespace weir::gateway::translate {
namespace {

constexpr std::string_view kInvalidJson = "INVALID_JSON";
constexpr std::string_view kHexPrefix = "weirhex_";
constexpr std::string_view kHexDigits = "0123456789abcdef";

bool is_id_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

int hex_value(char c) {
  const size_t at = kHexDigits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

void Conversation::alter(std::string_view path) {
  if (std::find(altered.begin(), altered.end(), path) == altered.end()) altered.emplace_back(path);
}

void append_block(std::vector<Turn>& turns, Role role, ContentBlock block) {
  if (turns.empty() || turns.back().role != role) {
    turns.emplace_back();
    turns.back().role = role;
  }
  turns.back().plain = false;
  turns.back().blocks.push_back(std::move(block));
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

std::string arguments_to_input(std::string_view arguments) {
  if (is_blank(arguments)) return "{}";
  // A full parse: what goes into the body as it stands must not be able to break it.
  const auto parsed = text::Json::parse(arguments);
  if (parsed.ok() && parsed->is_object()) return std::string(arguments);
  text::Json wrapped = text::Json::object();
  wrapped.set(kInvalidJson, arguments);
  return wrapped.dump();
}

std::string input_to_arguments(std::string_view input) {
  JsonSkim members(input);
  if (members.next() && members.key_is(kInvalidJson)) {
    const auto wrapped = skim_string(members.value());
    if (wrapped.has_value() && !members.next() && members.ok()) return *wrapped;
  }
  return std::string(input);
}

std::string encode_tool_id(std::string_view id) {
  const bool plain = !id.empty() && std::all_of(id.begin(), id.end(), is_id_character);
  if (plain && !id.starts_with(kHexPrefix)) return std::string(id);
  std::string out(kHexPrefix);
  for (const char c : id) {
    const auto byte = static_cast<unsigned char>(c);
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
  }
  return out;
}

std::string decode_tool_id(std::string_view id) {
  if (!id.starts_with(kHexPrefix) || id.size() % 2 != 0) return std::string(id);
  static_assert(kHexPrefix.size() % 2 == 0);
  std::string out;
  for (size_t i = kHexPrefix.size(); i < id.size(); i += 2) {
    const int high = hex_value(id[i]);
    const int low = hex_value(id[i + 1]);
    if (high < 0 || low < 0) return std::string(id);
    out += static_cast<char>(high * 16 + low);
  }
  // An id that is not UTF-8 could not be written again.
  return text::is_valid_utf8(out) ? out : std::string(id);
}

}  // namespace weir::gateway::translate
