#include "gateway/state/outcomes.h"

#include <cmath>

#include "text/json.h"

namespace weir::gateway {
namespace {

constexpr size_t kMaxRequestIdBytes = 256;

Error wrong(std::string_view member, std::string_view what) {
  return param_error(ErrorCode::kInvalidValue, member, "{}: {}", member, what);
}

}  // namespace

Result<Outcome> parse_outcome(std::string_view body) {
  if (body.size() > kMaxOutcomeBytes)
    return make_error(ErrorCode::kBodyTooLarge, "an outcome has at most {} bytes",
                      kMaxOutcomeBytes);
  WEIR_ASSIGN(const text::Json json, text::Json::parse(body, {.max_depth = 8}));
  if (!json.is_object())
    return make_error(ErrorCode::kInvalidValue, "an outcome is an object, such as {}",
                      R"({"request_id":"req-1","accepted":true})");
  Outcome out;
  const text::Json* id = json.find("request_id");
  if (id == nullptr || !id->is_string() || id->as_string().empty() ||
      id->as_string().size() > kMaxRequestIdBytes) {
    return wrong("request_id", fmt::format("must be a text of 1 to {} bytes, what the answer's "
                                           "x-request-id said",
                                           kMaxRequestIdBytes));
  }
  out.request_id = id->as_string();
  const text::Json* accepted = json.find("accepted");
  if (accepted == nullptr || !accepted->is_bool())
    return wrong("accepted", "must be true or false");
  out.accepted = accepted->as_bool();
  if (const text::Json* score = json.find("score"); score != nullptr && !score->is_null()) {
    if (!score->is_number() || !(std::abs(score->as_double()) <= kMaxOutcomeScore))
      return wrong("score", fmt::format("must be a number from -{0} to {0}", kMaxOutcomeScore));
    out.score = score->as_double();
  }
  if (const text::Json* note = json.find("note"); note != nullptr && !note->is_null()) {
    if (!note->is_string() || note->as_string().size() > kMaxOutcomeNoteBytes)
      return wrong("note", fmt::format("must be a text of at most {} bytes", kMaxOutcomeNoteBytes));
    out.note = note->as_string();
  }
  return out;
}

}  // namespace weir::gateway
