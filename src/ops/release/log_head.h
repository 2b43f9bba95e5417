// releases/audit.head: how far the audit log goes, signed; replaced in one step after every row, so
// that rows cut off at the end show. A command that was killed between the two leaves a head that
// is one row behind, never one ahead. Taken for hostile when read. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ops/release/keys.h"

namespace weir::ops {

struct LogHead {
  int64_t seq = 0;  // of the last row; 0: the log was made, nothing is in it
  std::string hash = std::string(64, '0');  // that row's
};

// Of "releases/audit.db" "releases/audit.head".
std::string log_head_path(const std::string& log_path);

std::string log_head_text(const LogHead& head, const SigningKey& key);
// Error kCorrupt: what is wrong; for a signature that does not hold; for text that is not as
// log_head_text writes it.
Result<LogHead> parse_log_head(std::string_view text, std::string_view name, const PublicKey& key);
// nullopt: there is no such file. Errors: also those of os::read_file.
Result<std::optional<LogHead>> read_log_head(const std::string& path, const PublicKey& key);

}  // namespace weir::ops
