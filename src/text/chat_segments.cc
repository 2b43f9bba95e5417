#include "text/chat_segments.h"

namespace weir::text {

void set_special_tokens(const Tokenizer& tokenizer, ChatInput& input) {
  const auto spelled = [&](std::optional<int32_t> id) {
    return id ? std::string(tokenizer.token_text(*id)) : std::string();
  };
  input.bos_token = spelled(tokenizer.bos());
  input.eos_token = spelled(tokenizer.eos());
}

std::vector<int32_t> encode_segments(const Tokenizer& tokenizer,
                                     std::span<const Segment> segments) {
  std::vector<TextPart> parts;
  parts.reserve(segments.size());
  for (const Segment& s : segments) parts.push_back({s.text, s.from_template});
  std::vector<int32_t> ids = tokenizer.encode_parts(parts, false);
  const std::optional<int32_t> bos = tokenizer.bos();
  if (bos && tokenizer.adds_bos() && (ids.empty() || ids.front() != *bos)) {
    ids.insert(ids.begin(), *bos);
  }
  return ids;
}

}  // namespace weir::text
