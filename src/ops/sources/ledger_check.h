// What is wrong with a ledger beyond its schema, and what of it is due to be read again. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ops/sources/citations.h"
#include "ops/sources/sources.h"

namespace weir::ops {

enum class LedgerSeverity : uint8_t { kError, kWarning, kHint };
std::string_view ledger_severity_name(LedgerSeverity severity);  // "error"

struct LedgerFinding {
  LedgerSeverity severity = LedgerSeverity::kError;
  std::string where;  // a source's id, or where it is cited
  std::string what;
};

// Dates that contradict each other or lie ahead, reviews later than the kind allows, addresses that
// are alike, claims read in a source that was not; citations that resolve nowhere (errors); sources
// that nothing cites (hints). today: as day_number(). Worst first.
std::vector<LedgerFinding> check_ledger(const Sources& sources, std::span<const Citation> citations,
                                        int today);

struct DueSource {
  const Source* source = nullptr;
  int age_days = 0;      // since it was read
  int overdue_days = 0;  // > 0
  std::string why;       // "its review was due on 2026-12-29"
};
// Past their review_by, or read longer ago than stale_days() of their kind; the most overdue first.
// sources outlive the result.
std::vector<DueSource> due_sources(const Sources& sources, int today);

}  // namespace weir::ops
