// releases/audit.db: who did what to which environment and when, in SQLite. Each row holds the hash
// of the row before it and a signature, so that a row that is changed, taken out, put in or moved
// shows. That rows at the end are gone shows by the signed head beside it (log_head.h), and by the
// pointers (pointer.h), which name a row and its hash. Whoever has the private key can write
// another history; keep it off the machine that serves.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/release/keys.h"
#include "ops/release/log_head.h"
#include "ops/release/pointer.h"

struct sqlite3;

namespace weir::ops {

struct AuditRow {
  int64_t seq = 0;  // from 1, without gaps
  int64_t unix_s = 0;
  std::string who;
  std::string action;     // kActions
  std::string env;        // may be empty
  std::string release;    // may be empty
  std::string details;    // a JSON object
  std::string previous;   // hash of the row before; 64 zeros of the first
  std::string hash;       // row_hash()
  std::string signature;  // of the hash
};

// What rows are about. A switch is announced before the pointer changes and closed after it: of one
// that was cut short the pointer says whether it took effect.
inline constexpr const char* kActPromote = "promote";      // announced
inline constexpr const char* kActRollback = "rollback";    // announced
inline constexpr const char* kActInEffect = "in-effect";   // closed: it took effect
inline constexpr const char* kActAbandoned = "abandoned";  // closed: it did not
inline constexpr const char* kActRehearsal = "rollback-rehearsal";
inline constexpr const char* kActRefused = "refused";
inline constexpr const char* kActRollout = "rollout";

std::string row_hash(const AuditRow& row);

// What is wrong with a log, each with its row: "row 7: …"; empty: nothing. head: nullopt where
// there is none, which is right for a log without rows alone. Pure.
std::vector<std::string> check_log(std::span<const AuditRow> rows,
                                   const std::optional<LogHead>& head, const PublicKey& key);
// What is wrong with the pointer of an environment: there is one exactly when a switch of it took
// effect, and it names the row that announced the last one (or the one that is still open). Empty:
// nothing. pointer: nullopt where there is no release.json. Pure.
std::vector<std::string> check_pointer(std::span<const AuditRow> rows, std::string_view env,
                                       const std::optional<Pointer>& pointer);

// One thread; processes take turns by SQLite's locks.
class AuditLog {
 public:
  // Makes it where it is missing and `make` says so, else kNotFound. Errors: kIo; kCorrupt for what
  // is no such database, and where it is gone and its head is there.
  static Result<AuditLog> open(const std::string& path, bool make);
  AuditLog(AuditLog&& other) noexcept;
  AuditLog& operator=(AuditLog&&) = delete;
  ~AuditLog();

  // All rows, in order of seq. Errors: kCorrupt, kLimit beyond kMaxRows.
  Result<std::vector<AuditRow>> rows() const;
  // seq, previous, hash and signature are filled in. On the disk when it returns, and the head
  // after it. Errors: kIo; kCorrupt when the last row is not signed by the key or rows before it
  // were cut off: nothing is built on that.
  Result<AuditRow> append(AuditRow row, const SigningKey& key);

  static constexpr int64_t kMaxRows = 1'000'000;

 private:
  AuditLog(sqlite3* db, std::string head) : db_(db), head_(std::move(head)) {}
  Result<AuditRow> append_locked(AuditRow row, const SigningKey& key);
  Status check_head(std::span<const AuditRow> last, const SigningKey& key) const;
  sqlite3* db_ = nullptr;
  std::string head_;  // its file
};

}  // namespace weir::ops
