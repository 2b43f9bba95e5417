// Where in gateway.yaml something stands, for errors of those who open what it names.
#pragma once

#include <string_view>

#include "base/error.h"
#include "gateway/config.h"

namespace weir::gateway {

// "gateway.yaml:3: what is wrong"; the error as it is for a configuration of no file.
Error at_line(const GatewayConfig& config, int line, Error error);

// The same for a file that a key names: "gateway.yaml:3: keys_file: cannot open …". One that is not
// there or cannot be read is a mistake of gateway.yaml: kCorrupt. Where the key is not in it, the
// error with the key alone.
Error at_key(const GatewayConfig& config, std::string_view key, Error error);

}  // namespace weir::gateway
