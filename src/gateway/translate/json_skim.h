// Looks into JSON text without making values of it: finds the bytes of members and items, so that
// they can be copied or replaced in place. One pass over what is looked into, no allocation.
//
// What is skimmed is checked against RFC 8259 as far as it was looked at (structure, numbers,
// escapes, depth); UTF-8 and twice-given keys are the caller's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::gateway::translate {

inline constexpr size_t kSkimDepth = 64;  // text::JsonLimits' default

// Steps over one value that begins at text[at], blanks in front of it included. False when there is
// none; at is anywhere then.
bool skim_value(std::string_view text, size_t& at, size_t max_depth = kSkimDepth);
// text is one value, with blanks around it at most.
bool is_json(std::string_view text, size_t max_depth = kSkimDepth);

// Walks over the members of an object or the items of an array. The text it was made of outlives
// it.
//   JsonSkim s(text);
//   while (s.next()) use(s.key(), s.value());
//   if (!s.ok()) ...
class JsonSkim {
 public:
  // `text`: an object or an array, blanks around it allowed, nothing else.
  explicit JsonSkim(std::string_view text);
  // False at the end, and when the text is broken.
  bool next();
  // After next() was false: the whole of it was well formed.
  bool ok() const { return ok_; }
  // Of an object: whether the member has that name, escapes considered.
  bool key_is(std::string_view name) const { return plain_key_ ? key_ == name : key_spells(name); }
  // The bytes of the value, no blanks around them.
  std::string_view value() const { return value_; }

 private:
  bool fail() {
    ok_ = false;
    return false;
  }
  void skip_space();
  bool skim_key();
  bool key_spells(std::string_view name) const;

  std::string_view text_;
  size_t at_ = 0;
  char close_ = 0;  // '}' or ']'
  bool first_ = true;
  bool done_ = false;
  bool ok_ = true;
  std::string_view key_;   // raw, without its quotes
  bool plain_key_ = true;  // no escapes in it
  std::string_view value_;
};

// The value of a member of an object, the first of that name; nullopt: absent, or broken before it.
std::optional<std::string_view> skim_member(std::string_view object, std::string_view name);
// The first item of an array; nullopt: empty or broken.
std::optional<std::string_view> skim_first(std::string_view array);
// What a string's bytes, quotes included, spell; half of a surrogate pair becomes U+FFFD. nullopt:
// no string.
std::optional<std::string> skim_string(std::string_view value);
std::optional<int64_t> skim_int(std::string_view value);

}  // namespace weir::gateway::translate
