// Requests that go to an upstream of the same protocol as bytes: the model's name is replaced in
// place, the usage of a stream is asked for, everything else stays byte for byte.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/translate/protocol.h"
#include "gateway/translate/request_text.h"

namespace weir::gateway::translate {

struct RewriteWishes {
  std::string model;   // empty: it stays
  bool usage = false;  // "stream_options": {"include_usage": true} where "stream" is true
};

struct RewrittenRequest {
  std::string body;
  std::string model;           // that the client named; "" for none
  bool stream = false;         // the client asked for one
  bool include_usage = false;  // and for its usage
  bool usage_added = false;    // which was asked for here
};

// known: of this body, or null: it is looked through. Errors: kInvalidJson for what is no JSON
// object or not UTF-8, kBodyTooLarge.
Result<RewrittenRequest> rewrite_request(std::string_view body, const RewriteWishes& wishes,
                                         const TranslateLimits& limits,
                                         const RewriteSpots* known = nullptr);

}  // namespace weir::gateway::translate
