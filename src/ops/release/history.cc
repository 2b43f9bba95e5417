#include "ops/release/history.h"

#include <algorithm>

namespace weir::ops {
namespace {

bool announces(const AuditRow& row) {
  return row.action == kActPromote || row.action == kActRollback;
}

}  // namespace

std::optional<AuditRow> open_switch(std::span<const AuditRow> rows, std::string_view env) {
  std::optional<AuditRow> open;
  for (const AuditRow& row : rows) {
    if (row.env != env) continue;
    if (announces(row)) open = row;
    if (row.action == kActInEffect || row.action == kActAbandoned) open.reset();
  }
  return open;
}

std::vector<std::string> release_stack(std::span<const AuditRow> rows, std::string_view env) {
  std::vector<std::string> stack;
  const AuditRow* announced = nullptr;
  for (const AuditRow& row : rows) {
    if (row.env != env) continue;
    if (announces(row)) announced = &row;
    if (row.action == kActAbandoned) announced = nullptr;
    if (row.action != kActInEffect || announced == nullptr) continue;
    const auto at = std::find(stack.begin(), stack.end(), row.release);
    if (announced->action == kActRollback && at != stack.end()) stack.erase(at + 1, stack.end());
    if (stack.empty() || stack.back() != row.release) stack.push_back(row.release);
    announced = nullptr;
  }
  return stack;
}

std::optional<std::string> last_good(std::span<const AuditRow> rows, std::string_view env) {
  const std::vector<std::string> stack = release_stack(rows, env);
  if (stack.size() < 2) return std::nullopt;
  return stack[stack.size() - 2];
}

bool was_in_effect(std::span<const AuditRow> rows, std::string_view env, std::string_view release) {
  return std::any_of(rows.begin(), rows.end(), [&](const AuditRow& row) {
    return row.env == env && row.action == kActInEffect && row.release == release;
  });
}

}  // namespace weir::ops
