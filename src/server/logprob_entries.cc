#include "server/logprob_entries.h"

#include <algorithm>
#include <string>
#include <utility>

#include "text/utf8.h"

namespace weir::server {
namespace {

api::TokenLogprob named(const text::Tokenizer& tokenizer, int32_t id, float logprob) {
  api::TokenLogprob entry;
  entry.bytes = tokenizer.token_bytes(id);
  if (entry.bytes.empty()) entry.bytes = std::string(tokenizer.token_text(id));
  entry.logprob = static_cast<double>(logprob);
  return entry;
}

int64_t characters(std::string_view text) {
  return static_cast<int64_t>(text::count_characters(text));
}

// How much of `rest`, the text from here on, a token shows. special: it is no text by itself.
size_t shown_bytes(std::string_view rest, std::string_view token, bool special) {
  if (rest.starts_with(token)) return token.size();
  if (special) return 0;
  if (token.starts_with(' ') && rest.starts_with(token.substr(1))) return token.size() - 1;
  return std::min(token.size(), rest.size());
}

}  // namespace

api::TokenLogprob logprob_entry(const text::Tokenizer& tokenizer, const engine::TokenInfo& token) {
  api::TokenLogprob entry = named(tokenizer, token.id, token.logprob);
  entry.top.reserve(token.top.size());
  for (const auto& [id, value] : token.top) entry.top.push_back(named(tokenizer, id, value));
  return entry;
}

std::vector<api::TokenLogprob> prompt_entries(const text::Tokenizer& tokenizer,
                                              std::string_view shown,
                                              std::span<const engine::TokenInfo> tokens) {
  std::vector<api::TokenLogprob> entries;
  entries.reserve(tokens.size());
  size_t at = 0;
  for (const engine::TokenInfo& token : tokens) {
    api::TokenLogprob entry = logprob_entry(tokenizer, token);
    entry.scored = !entries.empty();
    const size_t bytes =
        shown_bytes(shown.substr(at), entry.bytes, tokenizer.token_bytes(token.id).empty());
    entry.shown_characters = characters(shown.substr(at, bytes));
    at += bytes;
    entries.push_back(std::move(entry));
  }
  if (!entries.empty()) *entries.back().shown_characters += characters(shown.substr(at));
  return entries;
}

}  // namespace weir::server
