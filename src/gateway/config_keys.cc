#include "gateway/config_keys.h"

#include <fmt/format.h>

namespace weir::gateway {

void list_keys(std::string_view prefix, std::span<const config::Key> table,
               std::span<const std::string_view> apart, FileKeys& out) {
  for (const config::Key& key : table) out.push_back({fmt::format("{}{}", prefix, key.path), key});
  for (const std::string_view name : apart)
    out.push_back({fmt::format("{}{}", prefix, name), std::nullopt});
}

FileKeys gateway_file_keys() {
  FileKeys out;
  list_top_keys(out);
  list_upstream_keys(out);
  list_routing_keys("models.NAME.", out);
  list_rule_keys("rules[].", out);
  list_quota_keys(out);
  list_priority_keys(out);
  return out;
}

}  // namespace weir::gateway
