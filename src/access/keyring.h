// Which key is whose. Immutable once made, but for a bounded memory of keys that passed argon2id.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "access/keys_file.h"
#include "base/clock.h"
#include "base/thread_annotations.h"

namespace weir::access {

class Keyring {
 public:
  enum class Verdict { kUnknown, kKnown, kSlow };
  struct Found {
    Verdict verdict = Verdict::kUnknown;
    const KeyEntry* entry = nullptr;  // with kKnown; lives as long as the keyring
  };

  // plain: keys without an entry (--api-key); they belong to tenant "". secret: random, keys the
  // hashes of lookup and memory.
  Keyring(KeysFile file, const std::vector<std::string>& plain, std::string secret);

  bool empty() const { return file_.keys.empty(); }
  const KeysFile& file() const { return file_; }

  // Microseconds. kSlow: only verify() can tell. Any thread.
  Found find(std::string_view key) const WEIR_EXCLUDES(mutex_);
  // Computes argon2id if it must: tens of ms and up to 64 MiB, one at a time; not on an I/O thread.
  // Error kRateLimitExceeded when too many wrong keys came in this second (their cost is the
  // server's).
  Result<Found> verify(std::string_view key, int64_t now_ns) const WEIR_EXCLUDES(mutex_, slow_);

 private:
  const KeyEntry* by_id(std::string_view key) const;

  KeysFile file_;
  const std::string secret_;
  // By keyed hash, so that how long a lookup takes says nothing about stored hashes.
  std::unordered_map<std::string, size_t> by_digest_;
  std::unordered_map<std::string, size_t> argon2_by_id_;
  mutable Mutex slow_;  // one verification at a time
  mutable Mutex mutex_;
  mutable std::unordered_map<std::string, size_t> verified_ WEIR_GUARDED_BY(mutex_);
  mutable int64_t failures_second_ WEIR_GUARDED_BY(mutex_) = 0;
  mutable int failures_ WEIR_GUARDED_BY(mutex_) = 0;
};

}  // namespace weir::access
