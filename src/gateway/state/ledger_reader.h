// Reads a gateway's ledger, also while the gateway writes it: rows for reports, and requests as
// JSON lines for the ops loop.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "gateway/state/ledger.h"
#include "gateway/state/sqlite.h"

namespace weir::gateway {

// Of attempts, by when they began: from_ms <= started < to_ms.
struct LedgerFilter {
  int64_t from_ms = 0;
  int64_t to_ms = INT64_MAX;
  std::string tenant = {};  // empty: all
};

struct LedgerEntry {
  LedgerRow row;                 // with attempts of the end that a newer weir wrote as kBroken
  std::optional<bool> accepted;  // of its request, where the attempt is final
  std::optional<double> score;
};

// One thread.
class LedgerReader {
 public:
  // Errors: kNotFound; kCorrupt for what is no ledger; kUnsupported for one of a newer weir; kIo.
  static Result<LedgerReader> open(const std::string& path);
  // Whether the file begins as a SQLite database does; false where it cannot be read.
  static bool is_database(const std::string& path);

  const std::string& currency() const { return currency_; }

  // In the order in which they were written. An error of `visit` ends it and is returned.
  Status each(const LedgerFilter& filter, const std::function<Status(const LedgerEntry&)>& visit);

  // The requests as JSON lines, oldest first: timestamp (ms since the first), input_length and
  // output_length, as `weir intake --trace` reads them; cost_usd (all attempts; cost where the
  // ledger is not in USD) and accepted where it was reported, as `weir cost --outcomes` does;
  // request_id, tenant, model, upstream, upstream_model, release, outcome, ttft_ms, total_ms.
  // reported: only requests of which users said something. Error kLimit beyond max_bytes.
  Result<std::string> requests(const LedgerFilter& filter, bool reported, size_t max_bytes);

 private:
  LedgerReader(Sqlite db, int64_t schema, std::string currency)
      : db_(std::move(db)), schema_(schema), currency_(std::move(currency)) {}
  Sqlite db_;
  int64_t schema_;
  std::string currency_;
};

}  // namespace weir::gateway
