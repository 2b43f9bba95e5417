// Parts of gateway.yaml that say how much a request matters. Internal to gateway/.
//
//   priorities:                      # 0: the most important .. 3
//     default: 1
//     header: x-weir-priority
//     tenants: {acme: 0, nightly: 3}
//     keys: {3f9ab120: 2}
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "config/yaml.h"
#include "http/message.h"

namespace weir::gateway {

class ConfigReader;

struct PriorityConfig {
  size_t by_default = 1;
  std::string header;  // in which a client says it; "": in none
  std::map<std::string, size_t, std::less<>> tenants;
  std::map<std::string, size_t, std::less<>> keys;  // by id; before their tenant's

  // With a key a client can only say that a request matters less than its key's; where nobody needs
  // one, what the header says counts. What is no priority is not said.
  size_t of(std::string_view tenant, std::string_view key_id, const http::Headers& headers) const;
};

// node: of `priorities`. What is wrong with it is noted by the reader; the rest is read.
PriorityConfig read_priorities(const ConfigReader& reader, const config::Node& node);

}  // namespace weir::gateway
