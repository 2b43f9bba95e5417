#include "gateway/translate/count_tokens.h"

#include <cmath>

#include "gateway/translate/json_skim.h"
#include "gateway/translate/requests.h"

namespace weir::gateway {
namespace {

using text::Json;

struct Counts {
  size_t bytes = 0;
  int64_t messages = 0;
  int64_t images = 0;
};

bool is_image(const Json& value) {
  const Json* type = value.find("type");
  if (type == nullptr || !type->is_string()) return false;
  const std::string& name = type->as_string();
  return name == "image" || name == "image_url" || name == "input_image";
}

// Everything but what a model does not see. The depth is bounded by the parser.
void count(const Json& value, Counts& out) {
  if (value.is_string()) {
    out.bytes += value.as_string().size();
  } else if (value.is_array()) {
    for (const Json& item : value.items()) count(item, out);
  } else if (value.is_object()) {
    if (is_image(value)) {
      ++out.images;
      return;
    }
    for (const Json::Member& m : value.members()) {
      const bool seen = m.first != "type" && m.first != "id" && m.first != "cache_control" &&
                        m.first != "tool_call_id" && m.first != "tool_use_id" &&
                        m.first != "role" && m.first != "signature";
      if (seen) count(m.second, out);
    }
  }
}

}  // namespace

Result<int64_t> estimate_input_tokens(std::string_view body, const TokenEstimate& estimate) {
  WEIR_ASSIGN(const Json json, translate::parse_bounded(body, estimate.limits));
  Counts counts;
  for (const std::string_view name : {"system", "instructions", "messages", "input", "prompt"}) {
    const Json* value = json.find(name);
    if (value == nullptr || value->is_null()) continue;
    count(*value, counts);
    counts.messages += value->is_array() ? static_cast<int64_t>(value->size()) : 1;
  }
  counts.bytes += translate::skim_member(body, "tools").value_or("").size();
  const double texts =
      std::ceil(static_cast<double>(counts.bytes) / std::max(estimate.bytes_per_token, 0.25));
  return static_cast<int64_t>(texts) + counts.messages * estimate.tokens_per_message +
         counts.images * estimate.tokens_per_image;
}

std::string count_tokens_body(int64_t tokens) {
  Json out = Json::object();
  out.set("input_tokens", tokens);
  return out.dump();
}

}  // namespace weir::gateway
