// What a server answers `weir eval task --url`.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ops/eval/remote_reply.h"
#include "text/utf8.h"

namespace {

template <typename T>
void check(const weir::Result<T>& result) {
  if (!result.ok() && result.error().message.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::ops;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  check(parse_completion_reply(body));
  check(parse_prompt_tokens(body));
  check(parse_models_reply(body, ""));
  check(parse_models_reply(body, "toy"));
  check(parse_token_count(body));
  const auto chat = parse_chat_reply(body);
  check(chat);
  if (chat.ok() && (chat->tokens < 0 || chat->prompt_tokens < 0)) std::abort();
  const auto logprobs = parse_prompt_logprobs(body);
  check(logprobs);
  if (logprobs.ok()) {
    const auto sum = choice_log_likelihood(*logprobs, 1);
    check(sum);
    if (sum.ok() && !(std::isfinite(*sum) && *sum <= 1e-3 * static_cast<double>(size)))
      std::abort();
  }
  const std::string said = reply_error(body);
  if (said.size() > ReplyLimits::kErrorBytes || !weir::text::is_valid_utf8(said)) std::abort();
  return 0;
}
