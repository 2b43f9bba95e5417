#include "engine/past_texts.h"

#include <algorithm>

#include "engine/request.h"

namespace weir::engine {

bool PastTexts::owns(const Owner& o, const Request& request) {
  return o.tenant == request.tenant.name && o.salt == request.cache_salt;
}

void PastTexts::add(const Request& request, std::span<const int32_t> answer) {
  const auto bound = static_cast<size_t>(std::max(0, tokens_of_tenant_));
  answer = answer.last(std::min(answer.size(), bound));
  if (answer.empty()) return;
  const auto at = std::find_if(owners_.begin(), owners_.end(),
                               [&](const Owner& o) { return owns(o, request); });
  if (at != owners_.end()) {
    owners_.splice(owners_.begin(), owners_, at);
  } else {
    owners_.push_front({request.tenant.name, request.cache_salt, {}, 0});
    if (owners_.size() > kMaxTenants) owners_.pop_back();
  }
  Owner& o = owners_.front();
  o.answers.emplace_back(answer.begin(), answer.end());
  o.tokens += answer.size();
  while (o.tokens > bound) {
    o.tokens -= o.answers.front().size();
    o.answers.pop_front();
  }
}

std::vector<int32_t> PastTexts::of(const Request& request) const {
  std::vector<int32_t> text;
  const auto at = std::find_if(owners_.begin(), owners_.end(),
                               [&](const Owner& o) { return owns(o, request); });
  if (at == owners_.end()) return text;
  text.reserve(at->tokens + at->answers.size());
  int32_t separator = -1;
  for (const std::vector<int32_t>& answer : at->answers) {
    text.insert(text.end(), answer.begin(), answer.end());
    text.push_back(--separator);
  }
  return text;
}

}  // namespace weir::engine
