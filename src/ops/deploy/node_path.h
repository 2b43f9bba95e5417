// What stands in a document below a path: "spec.template.spec". Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "config/yaml.h"

namespace weir::ops {

// Of a map: nullptr where something on the way is absent. Borrowed from `node`.
const config::Node* at_path(const config::Node& node, std::string_view path);
// Of a scalar there; "" for anything else.
std::string text_at(const config::Node& node, std::string_view path);

}  // namespace weir::ops
