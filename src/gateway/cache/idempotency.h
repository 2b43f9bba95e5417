// Idempotency-Key: the same request twice is done once, and the second gets the first one's answer.
//
//   begin ─► kRun ──► finish (kept) or abandon (not kept: a failure, a cut)
//        ├─► kReplay   the same key and body, done: the stored answer, with Idempotent-Replayed
//        ├─► kWait     the same, under way: woken by finish or abandon of the other
//        └─► error     under way and configured to refuse (409), or another body (400)
//
// Keys are a tenant's own. What is kept lies behind IdempotencyStore: in memory, in SQLite, or in
// what several gateways share. Time is passed in (Unix milliseconds). One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::gateway {

inline constexpr std::string_view kIdempotencyField = "idempotency-key";
inline constexpr std::string_view kReplayedField = "idempotent-replayed";  // "true"
inline constexpr size_t kMaxIdempotencyKeyBytes = 255;

// 1 to 255 characters of printable ASCII. Error kInvalidValue.
Status check_idempotency_key(std::string_view key);

struct StoredReply {
  int status = 200;
  std::string content_type;
  std::string body;  // as it was sent, a stream with all its events
  bool operator==(const StoredReply&) const = default;
};

// What a store knows of a key.
struct IdempotencyRecord {
  std::string fingerprint;           // of the request
  int64_t begun_ms = 0;              // when the first one came
  std::optional<StoredReply> reply;  // nothing: it is under way
  bool operator==(const IdempotencyRecord&) const = default;
};

struct IdempotencyName {
  std::string tenant;
  std::string key;
  auto operator<=>(const IdempotencyName&) const =
      default;  // NOLINT(modernize-use-nullptr): misread by clang-tidy 14
};

struct IdempotencyConfig {
  int64_t keep_ms = 24 * 3'600'000;        // from when the first one came
  int64_t max_in_flight_ms = 30 * 60'000;  // older ones under way were lost with their gateway
  size_t max_records = 100'000;
  size_t max_bytes = 256 * 1024 * 1024;  // names, fingerprints and bodies, kRecordBytes each
  double max_tenant_share = 0.5;         // of both
  size_t max_reply_bytes = 1024 * 1024;  // a bigger answer is not kept
  size_t max_waiters = 64;               // of one key; beyond: refused
  bool wait = true;                      // for one under way; false: refused with 409
  bool operator==(const IdempotencyConfig&) const = default;
};

// Keeps records. Bounds are its own matter: when there is no room, the oldest that are done leave,
// a tenant's own first; those under way stay. Errors: those of Sqlite; kServerOverloaded from
// insert when all the room is under way.
class IdempotencyStore {
 public:
  static constexpr size_t kRecordBytes = 256;
  virtual ~IdempotencyStore() = default;
  // What is there and not older than its time, else makes it, under way: in one step, so that of
  // two gateways one inserts.
  virtual Result<std::optional<IdempotencyRecord>> insert(const IdempotencyName& name,
                                                          const std::string& fingerprint,
                                                          int64_t now_ms) = 0;
  // Nothing happens when the record is gone. One that does not fit the tenant's share goes.
  virtual Status set_reply(const IdempotencyName& name, const StoredReply& reply) = 0;
  virtual Status erase(const IdempotencyName& name) = 0;
  virtual size_t records() const = 0;
  virtual size_t bytes() const = 0;
  virtual uint64_t dropped_early() const = 0;  // for room, before their time
};

std::unique_ptr<IdempotencyStore> memory_idempotency_store(const IdempotencyConfig& config);
// A file of SQLite, made when it is missing, its rows kept over a restart; those under way in it
// were lost. Waits for the file: some 100 us a call, and at most 10 ms more where another program
// has locked it. Errors: those of Sqlite.
Result<std::unique_ptr<IdempotencyStore>> sqlite_idempotency_store(const IdempotencyConfig& config,
                                                                   const std::string& path);

class Idempotency {
 public:
  using Id = uint64_t;  // the caller's name for a request
  enum class Verdict { kRun, kReplay, kWait };
  struct Begin {
    Verdict verdict = Verdict::kRun;
    StoredReply reply = {};  // of kReplay
    // Of kRun, the store's error where its record could not be written: it runs all the same, who
    // asks the same meanwhile waits for it, and its reply is kept for nobody.
    Status kept = {};
  };
  struct End {
    std::vector<Id> woken;  // those that waited begin again: they replay, or one of them runs
    Status stored;          // the store's errors
  };

  Idempotency(const IdempotencyConfig& config, std::unique_ptr<IdempotencyStore> store)
      : config_(config), store_(std::move(store)) {}

  // body: the request's bytes; route: what they were sent to. Errors: those of
  // check_idempotency_key; kInvalidValue with param "idempotency-key" for another body; kBadRequest
  // with bound "idempotency_in_flight" (409) for one under way; kServerOverloaded with a bound, of
  // the store. A store that is broken, or stays locked for 10 ms, is no error: see Begin::kept.
  Result<Begin> begin(const std::string& tenant, std::string_view key, std::string_view route,
                      std::string_view body, Id id, int64_t now_ms);
  // The one that runs is over. Keeps the reply if it may be kept: see is_kept.
  End finish(Id id, const StoredReply& reply);
  // It failed, was cut, or its client went and nobody needs it. Also of one that waits.
  End abandon(Id id);

  // Below 500, and none of 408, 409, 425 and 429, which a retry is meant to get past.
  static bool is_kept(int status);

  size_t waiters() const { return waiting_.size(); }
  size_t left() const { return left_.size(); }  // records that are to go once the store takes it
  const IdempotencyStore& store() const { return *store_; }

 private:
  struct Running {
    std::string fingerprint;
    std::vector<Id> waiters;
  };
  Result<Begin> join(Running& running, const IdempotencyName& name, std::string_view fingerprint,
                     Id id);
  void tidy(const IdempotencyName& name);
  Status erase(const IdempotencyName& name);
  std::vector<Id> release(const IdempotencyName& name);

  const IdempotencyConfig config_;
  std::unique_ptr<IdempotencyStore> store_;
  std::map<IdempotencyName, Running> running_;  // by this gateway
  // Whose records stand in the store as under way although they are over: it did not take their
  // end.
  std::set<IdempotencyName> left_;
  std::unordered_map<Id, IdempotencyName> names_;
  std::unordered_map<Id, IdempotencyName> waiting_;
};

}  // namespace weir::gateway
