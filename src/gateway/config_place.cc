#include "gateway/config_place.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weir::gateway {

Error at_line(const GatewayConfig& config, int line, Error error) {
  if (config.name.empty() || line <= 0) return error;
  return error.with_context(fmt::format("{}:{}", config.name, line));
}

Error at_key(const GatewayConfig& config, std::string_view key, Error error) {
  if (error.code == ErrorCode::kIo || error.code == ErrorCode::kNotFound)
    error.code = ErrorCode::kCorrupt;
  if (!error.message.starts_with(fmt::format("{}: ", key))) error = error.with_context(key);
  const auto named = std::find_if(config.files.begin(), config.files.end(),
                                  [&](const NamedFile& f) { return f.key == key; });
  return at_line(config, named == config.files.end() ? 0 : named->line, std::move(error));
}

}  // namespace weir::gateway
