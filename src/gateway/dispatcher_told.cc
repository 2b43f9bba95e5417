// What the dispatcher is told, by a picker in front, and tells, of its splits.
#include <algorithm>

#include "gateway/dispatcher.h"

namespace weir::gateway {

Choice Dispatcher::choose_picked(const ModelConfig& model, const Assigned& assigned,
                                 std::span<const uint32_t> picked, std::span<const uint32_t> tried,
                                 int64_t now_ns) {
  sync();
  const Arm& arm = routes_.find(&model)->second.arms[assigned.arm];
  for (const uint32_t index : picked) {
    if (std::find(tried.begin(), tried.end(), index) != tried.end()) continue;
    const auto at = std::find_if(arm.candidates.begin(), arm.candidates.end(),
                                 [&](const Candidate& c) { return c.endpoint == index; });
    if (at == arm.candidates.end()) continue;
    const EndpointPtr& e = fleet_.slots()[index];
    if (e == nullptr || !e->pool->may_send(e->number, now_ns)) continue;
    return {e, arm.target_of[static_cast<size_t>(at - arm.candidates.begin())]};
  }
  return {};
}

std::optional<Exposure> Dispatcher::exposure(const ModelConfig& model, const Assigned& assigned,
                                             const RequestView& request,
                                             std::string_view request_id) const {
  if (!assigned.exposed.has_value()) return std::nullopt;
  return routes_.find(&model)->second.split->exposure(*assigned.exposed, request, request_id);
}

}  // namespace weir::gateway
