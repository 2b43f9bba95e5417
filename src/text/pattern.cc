#include "text/pattern.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/pcre2_handles.h"
#include "text/utf8.h"

namespace weir::text {
namespace {

constexpr uint32_t kDepthLimit = 10'000;

// Of a character's bytes one behind the first.
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

}  // namespace

struct Pattern::Compiled {
  Pcre2Code code;
  Pcre2MatchContext context;
};

Pattern::Pattern(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

Result<Pattern> Pattern::make(std::string_view pattern, bool ignore_case, uint32_t max_steps) {
  if (pattern.empty() || pattern.size() > kMaxBytes) {
    return make_error(ErrorCode::kInvalidValue, "a pattern of {} bytes; 1 to {} are taken",
                      pattern.size(), kMaxBytes);
  }
  const uint32_t options =
      PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | (ignore_case ? PCRE2_CASELESS : 0U);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto compiled = std::make_unique<Compiled>();
  compiled->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                     options, &error, &offset, nullptr));
  if (!compiled->code) {
    std::array<unsigned char, 256> reason{};
    pcre2_get_error_message(error, reason.data(), reason.size());
    return make_error(ErrorCode::kInvalidValue, "the pattern \"{}\" is wrong at byte {}: {}",
                      pattern, offset, reinterpret_cast<const char*>(reason.data()));
  }
  compiled->context.reset(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(compiled->context.get(), max_steps);
  pcre2_set_depth_limit(compiled->context.get(), kDepthLimit);
  return Pattern(std::move(compiled));
}

Pattern::Found Pattern::first_in(std::string_view text) const {
  if (is_valid_utf8(text)) return search(text, false);
  return search(replace_invalid_utf8(text), false);
}
Pattern::Found Pattern::last_in(std::string_view text) const {
  if (is_valid_utf8(text)) return search(text, true);
  return search(replace_invalid_utf8(text), true);
}

// text: well-formed, so that PCRE2 need not look at all of it again for every match.
Pattern::Found Pattern::search(std::string_view text, bool last) const {
  Found found;
  const Pcre2MatchData data(pcre2_match_data_create_from_pattern(compiled_->code.get(), nullptr));
  for (size_t at = 0; at <= text.size();) {
    const int groups =
        pcre2_match(compiled_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                    at, PCRE2_NO_UTF_CHECK, data.get(), compiled_->context.get());
    if (groups == PCRE2_ERROR_NOMATCH) break;
    if (groups < 0) {
      found.gave_up = true;
      break;
    }
    const PCRE2_SIZE* spans = pcre2_get_ovector_pointer(data.get());
    const bool group = groups > 1 && spans[2] != PCRE2_UNSET;
    const size_t begin = group ? spans[2] : spans[0];
    const size_t end = group ? spans[3] : spans[1];
    found.matches = true;
    found.text = std::string(text.substr(begin, end - begin));
    if (!last) break;
    at = spans[1] > at ? spans[1] : at + 1;
    while (at < text.size() && is_continuation(text[at])) ++at;
  }
  return found;
}

}  // namespace weir::text
