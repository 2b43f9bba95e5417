// /admin/requests.
#pragma once

#include <string>
#include <vector>

#include "engine/engine.h"
#include "server/tenants.h"

namespace weir::server {

// {"requests":[{"id","tenant","route","state","age_ms","prompt_tokens","max_output_tokens",
// "output_tokens"}],"queued_requests","running_sequences","queued_tokens"}. No content.
std::string active_json(const std::vector<ActiveRequest>& requests, const engine::EngineStats& s);

}  // namespace weir::server
