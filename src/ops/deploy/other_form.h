// Files that stand beside an engine's and say nothing of how it is started.
#pragma once

#include <string>
#include <string_view>

namespace weir::ops {

// "a scrape configuration of Prometheus", "Kubernetes objects (Service, NetworkPolicy)"; "" where
// it is none that is known. name: of the file; its ending counts.
std::string other_form(std::string_view text, std::string_view name);

}  // namespace weir::ops
