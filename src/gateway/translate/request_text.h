// A request's body, and where in it stands what rewriting replaces: who has read it as JSON need
// not look a second time. Pure; a value.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "text/json.h"
#include "text/json_spans.h"

namespace weir::gateway::translate {

// Of a body that is a JSON object in UTF-8 without twice-given keys: the values of these members.
struct RewriteSpots {
  text::JsonSpan model, stream, stream_options;  // of 0 bytes: there is none
};

class RequestText {
 public:
  RequestText() = default;
  // Not read yet.
  RequestText(std::string text) : text_(std::move(text)) {}  // NOLINT(google-explicit-constructor)

  // As a value; from then on the spots are known, if it is an object. Error: kInvalidJson.
  Result<text::Json> read();

  const std::string& text() const { return text_; }
  size_t size() const { return text_.size(); }
  // Null: not read.
  const RewriteSpots* spots() const { return spots_.has_value() ? &*spots_ : nullptr; }

 private:
  std::string text_;
  std::optional<RewriteSpots> spots_;  // of this very text
};

}  // namespace weir::gateway::translate
