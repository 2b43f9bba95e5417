#include "access/credentials.h"

#include <algorithm>
#include <array>

namespace weir::access {
namespace {

// Names under which clients of other services put keys into URLs, in lower case.
constexpr std::array<std::string_view, 7> kKeyNames{"api_key", "api-key",      "apikey",   "key",
                                                    "token",   "access_token", "x-api-key"};

bool names_a_key(std::string_view name) {
  const auto decoded = http::percent_decode(name);
  if (!decoded.has_value()) return false;
  return std::any_of(kKeyNames.begin(), kKeyNames.end(),
                     [&](std::string_view known) { return http::iequals(known, *decoded); });
}

}  // namespace

std::string_view presented_key(const http::Headers& headers) {
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view value = headers.find("authorization").value_or("");
  if (value.size() > kScheme.size() && http::iequals(value.substr(0, kScheme.size()), kScheme))
    return value.substr(kScheme.size());
  if (!value.empty()) return {};  // another scheme: an answer about that, not about a second header
  return headers.find("x-api-key").value_or("");
}

Error bad_key_error(std::string_view presented) {
  return presented.empty()
             ? make_error(ErrorCode::kInvalidApiKey,
                          "an API key is needed: Authorization: Bearer KEY, or x-api-key: KEY")
             : make_error(ErrorCode::kInvalidApiKey,
                          "this API key is not valid here: it is mistyped, or was taken back");
}

Status check_no_key_in_url(std::string_view query) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (names_a_key(pair.substr(0, pair.find('=')))) {
      return make_error(ErrorCode::kBadRequest,
                        "keys are not taken from the URL, where logs would keep them: send the "
                        "header Authorization: Bearer KEY, and replace this key");
    }
  }
  return {};
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    difference |=
        static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(other));
  }
  return difference == 0;
}

bool is_one_of(std::string_view given, const std::vector<std::string>& keys) {
  bool found = false;
  for (const std::string& key : keys) found |= constant_time_equal(given, key);
  return found;
}

}  // namespace weir::access
