#include "gateway/cache/idempotency.h"

#include <algorithm>
#include <array>

#include "access/key_hash.h"

namespace weir::gateway {
namespace {

// Of what was asked: another body, or the same at another place, is another request.
std::string fingerprint_of(std::string_view route, std::string_view body) {
  const access::Digest digest =
      access::sha256(fmt::format("{}\n{}\n{}", route.size(), route, body));
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Error another_body() {
  return param_error(ErrorCode::kInvalidValue, kIdempotencyField,
                     "this Idempotency-Key stands for a request with another body; a new request "
                     "needs a new key");
}

Error in_flight(std::string_view why) {
  Error e = param_error(ErrorCode::kBadRequest, kIdempotencyField,
                        "a request with this Idempotency-Key is under way{}", why);
  e.bound = "idempotency_in_flight";
  e.retry_after_s = 1;
  return e;
}

}  // namespace

Status check_idempotency_key(std::string_view key) {
  if (!key.empty() && key.size() <= kMaxIdempotencyKeyBytes &&
      std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c < 0x7F; }))
    return {};
  return param_error(ErrorCode::kInvalidValue, kIdempotencyField,
                     "the Idempotency-Key has {} bytes; 1 to {} characters of printable ASCII are "
                     "taken",
                     key.size(), kMaxIdempotencyKeyBytes);
}

bool Idempotency::is_kept(int status) {
  constexpr std::array<int, 4> kRetried = {408, 409, 425, 429};
  return status >= 200 && status < 500 &&
         std::find(kRetried.begin(), kRetried.end(), status) == kRetried.end();
}

Result<Idempotency::Begin> Idempotency::begin(const std::string& tenant, std::string_view key,
                                              std::string_view route, std::string_view body, Id id,
                                              int64_t now_ms) {
  WEIR_TRY(check_idempotency_key(key));
  const IdempotencyName name{tenant, std::string(key)};
  const std::string fingerprint = fingerprint_of(route, body);
  if (const auto running = running_.find(name); running != running_.end())
    return join(running->second, name, fingerprint, id);
  tidy(name);
  auto found = store_->insert(name, fingerprint, now_ms);
  if (found.ok() && *found && !left_.contains(name)) {  // else it is over, whatever stands there
    if ((*found)->fingerprint != fingerprint) return another_body();
    if ((*found)->reply) return Begin{Verdict::kReplay, std::move(*(*found)->reply)};
    if ((*found)->begun_ms + config_.max_in_flight_ms > now_ms)
      return in_flight(" at another gateway");
    // Its gateway went down with it.
    const Status erased = store_->erase(name);
    found = erased.ok() ? store_->insert(name, fingerprint, now_ms) : erased.error();
    if (found.ok() && *found) return in_flight(" at another gateway");
  }
  if (!found.ok() && !found.error().bound.empty()) return found.error();  // it is full, not broken
  running_[name].fingerprint = fingerprint;
  names_[id] = name;
  Begin begun;
  if (!found.ok()) begun.kept = found.error();
  if (found.ok() && *found)
    begun.kept = make_error(ErrorCode::kIo, "the record of the one before cannot be taken out");
  return begun;
}

Result<Idempotency::Begin> Idempotency::join(Running& running, const IdempotencyName& name,
                                             std::string_view fingerprint, Id id) {
  if (running.fingerprint != fingerprint) return another_body();
  if (!config_.wait) return in_flight("");
  if (running.waiters.size() >= config_.max_waiters)
    return in_flight(fmt::format(" and {} others wait for it", running.waiters.size()));
  running.waiters.push_back(id);
  waiting_[id] = name;
  return Begin{Verdict::kWait};
}

// Takes out a record that is to go: this one's, or any.
void Idempotency::tidy(const IdempotencyName& name) {
  if (left_.empty()) return;
  auto at = left_.find(name);
  if (at == left_.end()) at = left_.begin();
  if (store_->erase(*at).ok()) left_.erase(at);
}

// One that stays would make its key one under way that never ends.
Status Idempotency::erase(const IdempotencyName& name) {
  Status erased = store_->erase(name);
  if (erased.ok())
    left_.erase(name);
  else
    left_.insert(name);
  return erased;
}

std::vector<Idempotency::Id> Idempotency::release(const IdempotencyName& name) {
  const auto running = running_.find(name);
  std::vector<Id> waiters = std::move(running->second.waiters);
  running_.erase(running);
  for (const Id waiter : waiters) waiting_.erase(waiter);
  return waiters;
}

Idempotency::End Idempotency::finish(Id id, const StoredReply& reply) {
  if (!is_kept(reply.status) || reply.body.size() > config_.max_reply_bytes) return abandon(id);
  const auto named = names_.find(id);
  if (named == names_.end()) return {};
  const IdempotencyName name = std::move(named->second);
  names_.erase(named);
  End end;
  end.stored = store_->set_reply(name, reply);
  if (end.stored.ok())
    left_.erase(name);
  else
    (void)erase(name);
  end.woken = release(name);
  return end;
}

Idempotency::End Idempotency::abandon(Id id) {
  End end;
  if (const auto waits = waiting_.find(id); waits != waiting_.end()) {
    std::erase(running_.find(waits->second)->second.waiters, id);
    waiting_.erase(waits);
    return end;
  }
  const auto named = names_.find(id);
  if (named == names_.end()) return end;
  const IdempotencyName name = std::move(named->second);
  names_.erase(named);
  end.stored = erase(name);
  end.woken = release(name);
  return end;
}

}  // namespace weir::gateway
