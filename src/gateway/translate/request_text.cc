#include "gateway/translate/request_text.h"

#include <vector>

namespace weir::gateway::translate {

Result<text::Json> RequestText::read() {
  std::vector<text::JsonSpan> spans;
  WEIR_ASSIGN(text::Json body, text::parse_json(text_, spans));
  spots_.reset();
  if (!body.is_object()) return body;
  RewriteSpots& spots = spots_.emplace();
  for (size_t i = 0; i < spans.size(); ++i) {
    const std::string& name = body.members()[i].first;
    if (name == "model") spots.model = spans[i];
    if (name == "stream") spots.stream = spans[i];
    if (name == "stream_options") spots.stream_options = spans[i];
  }
  return body;
}

}  // namespace weir::gateway::translate
