#include "server/active_json.h"

#include <cmath>

#include "text/json.h"

namespace weir::server {

std::string active_json(const std::vector<ActiveRequest>& requests, const engine::EngineStats& s) {
  using text::Json;
  Json list = Json::array();
  for (const ActiveRequest& r : requests) {
    Json j = Json::object();
    j.set("id", r.id);
    j.set("tenant", r.tenant);
    j.set("route", r.route);
    j.set("state", r.state);
    j.set("age_ms", std::round(r.age_ms));
    j.set("prompt_tokens", r.prompt_tokens);
    j.set("max_output_tokens", r.max_output_tokens);
    j.set("output_tokens", r.output_tokens);
    list.push_back(std::move(j));
  }
  Json root = Json::object();
  root.set("requests", std::move(list));
  root.set("queued_requests", s.queued_requests);
  root.set("queued_tokens", s.queued_tokens);
  root.set("running_sequences", s.running_sequences);
  return root.dump();
}

}  // namespace weir::server
