// envs/ENV/release.json: which release is in effect in an environment, and how far the audit log
// was when it came into effect; signed. Replaced in one step, so that a reader (and a command that
// was killed) leaves the old one or the new one. Taken for hostile when read. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ops/release/keys.h"

namespace weir::ops {

struct Pointer {
  std::string env;
  std::string release;   // 64 hexadecimal digits
  int64_t log_seq = 0;   // the row of the audit log that announced it
  std::string log_hash;  // that row's
};

inline constexpr const char* kPointerFile = "release.json";

std::string pointer_text(const Pointer& pointer, const SigningKey& key);
// Error kCorrupt: what is wrong; for another environment; for a signature that does not hold; for
// text that is not as pointer_text writes it.
Result<Pointer> parse_pointer(std::string_view text, std::string_view name, std::string_view env,
                              const PublicKey& key);
// nullopt: there is no such file. Errors: also those of os::read_file.
Result<std::optional<Pointer>> read_pointer(const std::string& env_folder, std::string_view env,
                                            const PublicKey& key);

}  // namespace weir::ops
