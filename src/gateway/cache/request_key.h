// Which requests ask for the same answer: the key of the exact cache.
//
// A request becomes canonical text: members sorted, numbers in one spelling, top-level nulls and
// the fields that leave the answer as it is taken out. Everything else stays, also what nobody
// here knows. The key is a hash of the scope and that text, under a secret:
// who chooses requests cannot make two of them meet. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "text/json.h"

namespace weir::gateway {

// Whose answer it is, beside what was asked.
struct CacheScope {
  std::string tenant;
  std::string route;    // "/v1/chat/completions"
  std::string model;    // as the client calls it
  std::string release;  // of the model: another one answers anew
  // That a rule or a router chose in place of it: they send the same words to different models.
  std::string chosen = {};
  std::string settings = {};  // of the model that answers: another file, other answers
  // What these headers switch on, where they are passed on; "": not said.
  std::string anthropic_version = {}, anthropic_beta = {};

  size_t bytes() const;  // of its texts
  bool operator==(const CacheScope&) const = default;
};

// Whether a top-level field of a request leaves the answer as it is: who asks, how the bytes come
// back, how soon.
bool is_answer_neutral(std::string_view field);

// request: an object.
std::string canonical_request(const text::Json& request);

Hash128 request_key(const HashKey& secret, const CacheScope& scope, const text::Json& request);
// The same for a question that is a text already.
Hash128 scope_key(const HashKey& secret, const CacheScope& scope, std::string_view question);

// What a client says of one request, in the field x-weir-cache.
enum class CacheWish {
  kDefault,  // no such field: as configured
  kOn,       // takes a stored answer and stores one, whatever the temperature
  kOff,      // neither
  kRefresh,  // takes none and stores one
};
inline constexpr std::string_view kCacheWishField = "x-weir-cache";
// "on", "off", "refresh", "" for kDefault; error kInvalidValue.
Result<CacheWish> parse_cache_wish(std::string_view value);

// Whether an answer to it may stand for another's: the wish, else the configuration (`always`),
// else a temperature of 0. A missing temperature is not 0.
bool may_cache(const text::Json& request, CacheWish wish, bool always);

}  // namespace weir::gateway
