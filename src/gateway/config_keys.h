// Every key that gateway.yaml may have, out of the tables that its readers read it by: what
// docs/gateway-keys.md lists, which a test holds to this.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/key.h"

namespace weir::gateway {

struct FileKey {
  // NAME stands for a name of the file's own, [] for each item of a list:
  // "models.NAME.targets[].weight".
  std::string path;
  // Type, default and bounds; nothing: a map or a list with a reader of its own.
  std::optional<config::Key> value;
};
using FileKeys = std::vector<FileKey>;

// In the order of the readers; those of models.NAME.rules are those of rules. Any thread.
FileKeys gateway_file_keys();

// For the readers: the keys of a table, and those beside them, behind `prefix`.
void list_keys(std::string_view prefix, std::span<const config::Key> table,
               std::span<const std::string_view> apart, FileKeys& out);
void list_top_keys(FileKeys& out);  // with models and prices
void list_price_keys(FileKeys& out);
void list_upstream_keys(FileKeys& out);
void list_discovery_keys(std::string_view prefix, FileKeys& out);
void list_routing_keys(std::string_view prefix, FileKeys& out);  // of a model
void list_rule_keys(std::string_view prefix, FileKeys& out);
void list_quota_keys(FileKeys& out);
void list_priority_keys(FileKeys& out);

}  // namespace weir::gateway
