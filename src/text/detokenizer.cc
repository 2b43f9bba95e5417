#include "text/detokenizer.h"

#include "text/utf8.h"

namespace weir::text {

std::string IncrementalDetokenizer::push(int32_t id) {
  const bool as_text = !options_.skip_special && tokenizer_->is_special(id);
  std::string bytes =
      as_text ? std::string(tokenizer_->token_text(id)) : tokenizer_->token_bytes(id);
  if (at_start_ && !bytes.empty()) {
    at_start_ = false;
    if (tokenizer_->strips_first_space() && !as_text && bytes.front() == ' ') bytes.erase(0, 1);
  }
  if (bytes.empty()) return {};
  held_ += bytes;
  std::string out;
  size_t at = 0;
  while (at < held_.size()) {
    const Utf8Char c = decode_utf8(held_, at);
    if (c.truncated) break;
    if (c.valid) {
      out.append(held_, at, c.length);
    } else {
      out.append(kReplacementUtf8);
    }
    at += c.length;
  }
  held_.erase(0, at);
  return out;
}

std::string IncrementalDetokenizer::flush() {
  std::string out;
  if (!held_.empty()) out = kReplacementUtf8;  // one maximal subpart
  held_.clear();
  at_start_ = !options_.continues_text;
  return out;
}

}  // namespace weir::text
