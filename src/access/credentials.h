// Where a request carries its key, and how keys are compared.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace weir::access {

// The key of "Authorization: Bearer KEY", or of "x-api-key: KEY" as Anthropic's clients send it;
// "" without one. Borrowed from the headers.
std::string_view presented_key(const http::Headers& headers);

// kInvalidApiKey for a request that presented this: no key at all, or one that opens nothing here.
Error bad_key_error(std::string_view presented);

// Error kBadRequest when the query holds a key ("api_key=", "key=" and the like): it would end up
// in the logs of every proxy on the way. The message does not repeat it.
Status check_no_key_in_url(std::string_view query);

// Whether `given` is one of the keys. Every key is compared in full, whatever matches first.
bool is_one_of(std::string_view given, const std::vector<std::string>& keys);

// Equal strings; time depends on the lengths alone.
bool constant_time_equal(std::string_view a, std::string_view b);

}  // namespace weir::access
