#include "telemetry/scrubber.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/pcre2_handles.h"

namespace weir::telemetry {
namespace {

// What a pattern may cost at one start: enough for any sane one on a line of text, a few
// milliseconds for one that explodes.
constexpr uint32_t kMatchLimit = 20'000;
constexpr uint32_t kDepthLimit = 1'000;
constexpr size_t kMaxPatternBytes = 4096;

constexpr size_t kMaxLocalBytes = 64;    // of an address before its @ (RFC 5321 section 4.5.3.1.1)
constexpr size_t kMaxDomainBytes = 255;  // behind it
constexpr size_t kMaxNumberBytes = 48;   // digits and separators of a card or phone number
constexpr size_t kMinKeyBytes = 8;       // behind a known prefix
constexpr size_t kMinTokenBytes = 24;    // of one without, when it looks random

bool alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool is_local(char c) {
  return alnum(c) || std::string_view("._%+-'").find(c) != std::string_view::npos;
}
bool is_domain(char c) { return alnum(c) || c == '.' || c == '-'; }
bool is_token(char c) { return alnum(c) || c == '_' || c == '-'; }

// An address around each @: some local part, a domain with a dot that a letter follows.
void find_emails(std::string_view t, std::vector<Finding>& found) {
  for (size_t at = t.find('@'); at != std::string_view::npos; at = t.find('@', at + 1)) {
    size_t begin = at;
    while (begin > 0 && at - begin < kMaxLocalBytes && is_local(t[begin - 1])) --begin;
    size_t end = at + 1;
    bool has_top = false;
    while (end < t.size() && end - at <= kMaxDomainBytes && is_domain(t[end])) {
      if (t[end] == '.' && end + 1 < t.size() && alnum(t[end + 1]) && end > at + 1) has_top = true;
      ++end;
    }
    if (begin < at && has_top) found.push_back({begin, end, "[email]"});
  }
}

bool passes_luhn(const std::string& digits) {  // ISO/IEC 7812-1 annex B
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    int d = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1) d = d * 2 > 9 ? d * 2 - 9 : d * 2;
    sum += d;
  }
  return sum % 10 == 0;
}

// A run of digits with at most two separators between them, from a digit, '+' or '('.
struct Number {
  std::string digits;
  size_t end = 0;
  bool plus = false;
  std::vector<std::pair<size_t, size_t>> group_ends;  // offset in the text, digits so far
  int groups = 0;                                     // runs of digits
  bool dotted = false;  // has a '.' between digits: may be a decimal or an address
};

Number read_number(std::string_view t, size_t at) {
  Number n;
  n.plus = t[at] == '+';
  size_t separators = 0;
  bool in_group = false;
  const size_t limit = std::min(t.size(), at + kMaxNumberBytes);
  for (size_t i = at; i < limit; ++i) {
    const char c = t[i];
    if (digit(c)) {
      if (!in_group) ++n.groups;
      in_group = true;
      separators = 0;
      n.digits += c;
      n.end = i + 1;
      if (i + 1 == t.size() || !digit(t[i + 1])) n.group_ends.emplace_back(n.end, n.digits.size());
    } else if (c == ' ' || c == '-' || c == '(' || c == ')' || c == '.' || c == '/' ||
               (c == '+' && i == at)) {
      if (c == '.') n.dotted = true;
      in_group = false;
      if (++separators > 2) break;
    } else {
      break;
    }
  }
  return n;
}

// Where a card number ends that the number is or begins with: 13 to 19 digits (ISO/IEC 7812-1),
// whole groups, that pass the check digit. 0: none.
size_t card_end(const Number& n) {
  for (auto g = n.group_ends.rbegin(); g != n.group_ends.rend(); ++g) {
    const auto [end, digits] = *g;
    if (digits >= 13 && digits <= 19 && passes_luhn(n.digits.substr(0, digits))) return end;
  }
  return 0;
}

// 7 to 15 digits (E.164) behind a '+', or in groups as people write them.
bool is_phone(const Number& n, char first) {
  const size_t count = n.digits.size();
  if (count < 7 || count > 15) return false;
  if (n.plus) return true;
  if (n.groups >= 3 && count >= 9) return !(n.dotted && n.groups > 3);
  return n.groups == 2 && count >= 10 && (n.digits[0] == '0' || first == '(');
}

void find_numbers(std::string_view t, std::vector<Finding>& found) {
  for (size_t i = 0; i < t.size();) {
    const bool starts = digit(t[i]) || ((t[i] == '+' || t[i] == '(') && i + 1 < t.size());
    if (!starts || (i > 0 && (alnum(t[i - 1]) || t[i - 1] == '_'))) {
      ++i;
      continue;
    }
    const Number n = read_number(t, i);
    const bool goes_on = n.end < t.size() && (alnum(t[n.end]) || t[n.end] == '_');
    if (n.end == 0 || goes_on) {
      ++i;
      while (i < t.size() && digit(t[i])) ++i;  // the rest of this run starts no number
      continue;
    }
    if (const size_t end = card_end(n); end != 0) {
      found.push_back({i, end, "[card]"});
      i = end;
    } else if (is_phone(n, t[i])) {
      found.push_back({i, n.end, "[phone]"});
      i = n.end;
    } else if (n.dotted && n.groups > 3) {
      i = n.end;  // an address or a version: no part of it is a phone number
    } else {
      while (i < t.size() && !digit(t[i])) ++i;
      while (i < t.size() && digit(t[i])) ++i;  // a number may start with the next group
    }
  }
}

// What well-known services put in front of their keys.
constexpr std::array<std::string_view, 24> kKeyPrefixes = {
    "sk-",   "pk-",  "rk_",  "sk_live_",    "sk_test_", "pk_live_", "ghp_",  "gho_",
    "ghu_",  "ghs_", "ghr_", "github_pat_", "glpat-",   "xoxb-",    "xoxp-", "xoxa-",
    "xapp-", "AKIA", "ASIA", "AIza",        "hf_",      "eyJ",      "npm_",  "dop_v1_"};

bool looks_random(std::string_view token) {
  if (token.size() < kMinTokenBytes) return false;
  size_t digits = 0;
  size_t letters = 0;
  for (const char c : token) {
    if (digit(c)) ++digits;
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) ++letters;
  }
  // Random hexadecimal has 6 letters in 16, random base64 10 digits in 64: both are there. Words
  // joined by '-' or '_' have hardly any digit.
  return digits * 10 >= token.size() && letters * 6 >= token.size();
}

bool iequals_at(std::string_view t, size_t at, std::string_view word) {
  if (t.size() - at < word.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(t[at + i])) != word[i]) return false;
  }
  return true;
}

struct Named {
  size_t bytes = 0;     // of the name with what separates it from its value; 0: none
  bool marked = false;  // by ':' or '=': whatever follows is a secret
};

// "Bearer x", "password: x", "api_key=x".
Named named_secret(std::string_view t, size_t at) {
  for (const std::string_view name :
       {"bearer", "basic", "password", "passwd", "secret", "api_key", "api-key", "apikey",
        "access_token", "auth_token", "client_secret", "private_key"}) {
    if (!iequals_at(t, at, name)) continue;
    size_t i = at + name.size();
    const size_t value = i;
    while (i < t.size() && i - value < 4 &&
           std::string_view(" :=\"'").find(t[i]) != std::string_view::npos)
      ++i;
    const bool marked = t.substr(value, i - value).find_first_of(":=") != std::string_view::npos;
    if (marked || ((name == "bearer" || name == "basic") && i > value)) return {i - at, marked};
  }
  return {};
}

size_t end_of_value(std::string_view t, size_t at) {
  while (at < t.size() && static_cast<unsigned char>(t[at]) > 0x20 &&
         std::string_view("\"',;)}]").find(t[at]) == std::string_view::npos)
    ++at;
  return at;
}

void find_keys(std::string_view t, std::vector<Finding>& found) {
  constexpr std::string_view kPem = "-----BEGIN ";
  for (size_t at = t.find(kPem); at != std::string_view::npos; at = t.find(kPem, at + 1)) {
    const std::string_view label = t.substr(at, 64);
    if (label.find("PRIVATE KEY-----") == std::string_view::npos) continue;
    const size_t end = t.find("-----END ", at);
    found.push_back({at, end == std::string_view::npos ? t.size() : end, "[key]"});
    if (end == std::string_view::npos) break;
    at = end;
  }
  for (size_t i = 0; i < t.size();) {
    if (!is_token(t[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < t.size() && is_token(t[end])) ++end;
    const std::string_view token = t.substr(i, end - i);
    const Named named = named_secret(t, i);
    const size_t value = i + named.bytes;
    const size_t value_end = named.bytes == 0 ? value : end_of_value(t, value);
    const bool has_prefix =
        std::any_of(kKeyPrefixes.begin(), kKeyPrefixes.end(), [&](std::string_view p) {
          return token.starts_with(p) && token.size() >= p.size() + kMinKeyBytes;
        });
    if (value_end >= value + (named.marked ? 1 : kMinKeyBytes)) {
      found.push_back({value, value_end, "[key]"});
      i = value_end;
    } else {
      // A JSON Web Token and the like go on behind a dot.
      if (has_prefix) end = end_of_value(t, end);
      if (has_prefix || looks_random(token)) found.push_back({i, end, "[key]"});
      i = end;
    }
  }
}

// In order; of two that overlap the first has its name there, for both.
std::vector<Finding> merged(std::vector<Finding> found) {
  std::stable_sort(found.begin(), found.end(), [](const Finding& a, const Finding& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  std::vector<Finding> out;
  for (const Finding& f : found) {
    const size_t at = out.empty() ? 0 : out.back().end;
    if (f.end <= at) continue;
    if (f.begin >= at) {
      out.push_back(f);
    } else {
      out.back().end = f.end;
    }
  }
  return out;
}

std::string replaced(std::string_view text, const std::vector<Finding>& found) {
  std::string out;
  size_t at = 0;
  for (const Finding& f : found) {
    out += text.substr(at, f.begin - at);
    out += f.name;
    at = f.end;
  }
  out += text.substr(at);
  return out;
}

std::vector<Finding> find_built_in(std::string_view text, std::vector<Finding> found) {
  find_keys(text, found);
  find_emails(text, found);
  find_numbers(text, found);
  return merged(std::move(found));
}

}  // namespace

struct Scrubber::Patterns {
  std::vector<Pcre2Code> codes;
  Pcre2MatchContext context;

  // False: one passed its bound.
  bool find(std::string_view text, std::vector<Finding>& found) const {
    for (const auto& code : codes) {
      const Pcre2MatchData data(pcre2_match_data_create_from_pattern(code.get(), nullptr));
      if (!data) return false;
      size_t at = 0;
      while (at <= text.size()) {
        const int rc = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                   text.size(), at, 0, data.get(), context.get());
        if (rc == PCRE2_ERROR_NOMATCH) break;
        if (rc < 0) return false;
        const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data.get());
        if (span[1] > span[0]) found.push_back({span[0], span[1], "[pattern]"});
        at = std::max(span[1], at + (span[1] > span[0] ? 0 : 1));
      }
    }
    return true;
  }
};

Scrubber::Scrubber() = default;
Scrubber::~Scrubber() = default;
Scrubber::Scrubber(Scrubber&&) noexcept = default;
Scrubber& Scrubber::operator=(Scrubber&&) noexcept = default;

Result<Scrubber> Scrubber::make(const std::vector<std::string>& patterns) {
  Scrubber s;
  if (patterns.empty()) return s;
  if (patterns.size() > kMaxPatterns) {
    return make_error(ErrorCode::kUsage, "{} scrubber patterns; at most {} are taken",
                      patterns.size(), kMaxPatterns);
  }
  s.patterns_ = std::make_unique<Patterns>();
  s.patterns_->context.reset(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(s.patterns_->context.get(), kMatchLimit);
  pcre2_set_depth_limit(s.patterns_->context.get(), kDepthLimit);
  for (size_t i = 0; i < patterns.size(); ++i) {
    const std::string& p = patterns[i];
    if (p.empty() || p.size() > kMaxPatternBytes)
      return make_error(ErrorCode::kUsage, "scrubber pattern {} has {} bytes; 1 to {} are taken",
                        i + 1, p.size(), kMaxPatternBytes);
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(p.data()), p.size(),
                                     PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
                                     &error, &offset, nullptr);
    if (code == nullptr) {
      std::array<unsigned char, 256> reason{};
      pcre2_get_error_message(error, reason.data(), reason.size());
      return make_error(ErrorCode::kUsage, "scrubber pattern {} is wrong at byte {}: {}", i + 1,
                        offset, reinterpret_cast<const char*>(reason.data()));
    }
    s.patterns_->codes.emplace_back(code);
  }
  return s;
}

std::string Scrubber::scrub(std::string_view text) const {
  text = text.substr(0, kMaxTextBytes);
  std::vector<Finding> found;
  if (patterns_ && !patterns_->find(text, found)) return "[scrubbed: a pattern took too long]";
  return replaced(text, find_built_in(text, std::move(found)));
}

Result<std::vector<Finding>> Scrubber::find(std::string_view text) const {
  if (text.size() > kMaxTextBytes)
    return make_error(ErrorCode::kLimit, "a text of {} bytes; at most {} are looked through",
                      text.size(), kMaxTextBytes);
  std::vector<Finding> found;
  if (patterns_ && !patterns_->find(text, found))
    return make_error(ErrorCode::kLimit, "a scrubber pattern took too long");
  return find_built_in(text, std::move(found));
}

}  // namespace weir::telemetry
