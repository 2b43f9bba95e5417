// The tables of a ledger, and how older ones become as these. Internal to gateway/.
#pragma once

#include <string>

#include "base/result.h"
#include "gateway/state/sqlite.h"

namespace weir::gateway {

// 1 called the client's name of the model `route`, and the upstream's `model`; 2 had no column
// `estimated`.
inline constexpr int64_t kLedgerSchema = 3;

// Makes the tables where there are none, and brings those of an older ledger up to date. Errors:
// kUnsupported for a newer schema, kCorrupt for a database that is no ledger, kUsage for a ledger
// in another currency.
Status migrate_ledger(Sqlite& db, const std::string& path, const std::string& currency);
// For readers, which change nothing: that it is a ledger of this schema or an older one.
struct LedgerKind {
  int64_t schema = kLedgerSchema;
  std::string currency;
};
Result<LedgerKind> check_ledger_schema(Sqlite& db, const std::string& path);

// Of the column `retried`, whose other values are 0 and 1: the attempt went on with a stream.
inline constexpr int64_t kContinuedAttempt = 2;

// Columns in the order of LedgerRow.
inline constexpr const char* kInsertAttempt =
    "INSERT INTO attempts (request_id, attempt, final, tenant, key_id, model, upstream, "
    "endpoint, upstream_model, release, started_unix_ms, status, outcome, input_tokens, "
    "cached_tokens, "
    "output_tokens, ttft_ms, total_ms, cost_nanos, cache, hedged, retried, estimated) VALUES "
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
inline constexpr const char* kSelectOwner =
    "SELECT 1 FROM attempts WHERE request_id = ? AND tenant = ? AND final = 1 LIMIT 1";
inline constexpr const char* kInsertOutcome =
    "INSERT OR REPLACE INTO outcomes (request_id, tenant, accepted, score, note, unix_ms) VALUES "
    "(?,?,?,?,?,?)";

}  // namespace weir::gateway
