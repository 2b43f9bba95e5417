#include "api/tokenize.h"

#include "api/chat_completions.h"

namespace weir::api {

using text::Json;

Result<TokenizeRequest> parse_tokenize_request(const Json& body, const Limits& limits) {
  WEIR_ASSIGN(Fields f, Fields::of(body));
  TokenizeRequest r;
  WEIR_ASSIGN(const auto model, f.string("model"));
  r.model = model.value_or("");
  WEIR_ASSIGN(r.prompt, f.string("prompt"));
  const Json* messages = f.find("messages");
  if (r.prompt.has_value() == (messages != nullptr)) {
    return param_error(ErrorCode::kInvalidValue, "prompt", "give either prompt or messages");
  }
  if (messages != nullptr) {
    WEIR_ASSIGN(r.messages, parse_messages(*messages, "messages"));
  }
  WEIR_ASSIGN(const auto special, f.boolean("add_special_tokens"));
  r.add_special_tokens = special.value_or(true);
  WEIR_ASSIGN(const auto generation, f.boolean("add_generation_prompt"));
  r.add_generation_prompt = generation.value_or(true);
  WEIR_ASSIGN(const auto strings, f.boolean("return_token_strs"));
  r.return_token_strs = strings.value_or(false);
  WEIR_TRY(f.finish(limits.strict));
  return r;
}

Result<DetokenizeRequest> parse_detokenize_request(const Json& body, const Limits& limits) {
  WEIR_ASSIGN(Fields f, Fields::of(body));
  DetokenizeRequest r;
  WEIR_ASSIGN(const auto model, f.string("model"));
  r.model = model.value_or("");
  WEIR_ASSIGN(const Json* tokens, f.require("tokens"));
  WEIR_ASSIGN(r.tokens,
              parse_token_ids(*tokens, "tokens", static_cast<size_t>(limits.max_prompt_tokens)));
  WEIR_TRY(f.finish(limits.strict));
  return r;
}

}  // namespace weir::api
