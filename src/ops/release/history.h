// What the audit log says of an environment's releases. Pure. Any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/release/audit_log.h"

namespace weir::ops {

// The switch of `env` that was announced and neither closed nor abandoned: a command was killed in
// between.
std::optional<AuditRow> open_switch(std::span<const AuditRow> rows, std::string_view env);

// The releases that stand behind each other, the one in effect last: a promotion adds one, a
// rollback takes away what came after the one it went back to. Switches that are not closed do not
// count.
std::vector<std::string> release_stack(std::span<const AuditRow> rows, std::string_view env);

// The release that was in effect before the present one; nullopt when there is none.
std::optional<std::string> last_good(std::span<const AuditRow> rows, std::string_view env);

// Whether `release` was ever in effect in `env`.
bool was_in_effect(std::span<const AuditRow> rows, std::string_view env, std::string_view release);

}  // namespace weir::ops
