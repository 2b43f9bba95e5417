#include "access/keyring.h"

#include <utility>

namespace weir::access {
namespace {

// Keys remembered after argon2id; beyond, the memory starts over.
constexpr size_t kMaxVerified = 4096;
// Wrong keys that may cost an argon2id in one second: at some 20 ms each a tenth of a core.
constexpr int kMaxFailuresPerSecond = 5;
constexpr size_t kMaxKeyBytes = 512;

std::string index_of(const std::string& secret, const Digest& digest) {
  const Digest d = hmac_sha256(
      secret, std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
  return {reinterpret_cast<const char*>(d.data()), d.size()};
}

}  // namespace

Keyring::Keyring(KeysFile file, const std::vector<std::string>& plain, std::string secret)
    : file_(std::move(file)), secret_(std::move(secret)) {
  for (const std::string& key : plain) {
    KeyEntry e;
    e.id = "api_key";
    e.sha256 = sha256(key);
    e.rights |= static_cast<unsigned>(Right::kMetrics);
    file_.keys.push_back(std::move(e));
  }
  for (size_t i = 0; i < file_.keys.size(); ++i) {
    const KeyEntry& e = file_.keys[i];
    if (e.argon2id.empty()) {
      by_digest_.emplace(index_of(secret_, e.sha256), i);
    } else {
      argon2_by_id_.emplace(e.id, i);
    }
  }
}

const KeyEntry* Keyring::by_id(std::string_view key) const {
  const auto found = argon2_by_id_.find(std::string(id_of_key(key)));
  return found == argon2_by_id_.end() ? nullptr : &file_.keys[found->second];
}

Keyring::Found Keyring::find(std::string_view key) const {
  if (key.empty() || key.size() > kMaxKeyBytes) return {};
  const Digest digest = sha256(key);
  const std::string index = index_of(secret_, digest);
  if (const auto found = by_digest_.find(index); found != by_digest_.end()) {
    const KeyEntry& e = file_.keys[found->second];
    if (equal(e.sha256, digest)) return {Verdict::kKnown, &e};
  }
  if (argon2_by_id_.empty() || by_id(key) == nullptr) return {};
  MutexLock lock(mutex_);
  const auto known = verified_.find(index);
  if (known == verified_.end()) return {Verdict::kSlow, nullptr};
  return {Verdict::kKnown, &file_.keys[known->second]};
}

Result<Keyring::Found> Keyring::verify(std::string_view key, int64_t now_ns) const {
  MutexLock one(slow_);
  const Found fast = find(key);  // another request may have brought the same key meanwhile
  if (fast.verdict != Verdict::kSlow) return fast;
  const KeyEntry* entry = by_id(key);
  {
    MutexLock lock(mutex_);
    if (failures_second_ != now_ns / 1'000'000'000) failures_ = 0;
    failures_second_ = now_ns / 1'000'000'000;
    if (failures_ >= kMaxFailuresPerSecond) {
      Error e = make_error(ErrorCode::kRateLimitExceeded,
                           "too many wrong keys were tried; try again in a second");
      e.retry_after_s = 1;
      return e;
    }
  }
  const bool good = verify_argon2id(entry->argon2id, key);
  MutexLock lock(mutex_);
  if (!good) {
    ++failures_;
    return Found{};
  }
  if (verified_.size() >= kMaxVerified) verified_.clear();
  verified_.emplace(index_of(secret_, sha256(key)), static_cast<size_t>(entry - file_.keys.data()));
  return Found{Verdict::kKnown, entry};
}

}  // namespace weir::access
