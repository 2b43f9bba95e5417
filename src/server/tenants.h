// Who asks, what they may take, and who is being answered: the keys of a server, the state of each
// tenant, and a ticket for every request.
//
// Threads: all of it from any thread. Tenants outlives its tickets.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "access/keyring.h"
#include "access/tenant_limits.h"
#include "base/clock.h"
#include "base/thread_annotations.h"
#include "engine/request.h"
#include "http/message.h"
#include "telemetry/tenant_metrics.h"

namespace weir::server {

using access::Keyring;
using access::KeysFile;
using access::Right;
using access::TenantMeter;
using access::TenantSpec;

// A tenant's limits and what it takes at present. Shared by its tickets and by the directory, which
// forgets it when a reload drops the tenant.
struct TenantState {
  Mutex mutex;
  std::shared_ptr<const TenantSpec> spec WEIR_GUARDED_BY(mutex);  // shared: tickets keep theirs
  TenantMeter meter WEIR_GUARDED_BY(mutex);
};

// A request whose key has been checked.
struct Access {
  std::shared_ptr<TenantState> state;
  std::shared_ptr<const TenantSpec> spec;
};

// One line of /admin/requests.
struct ActiveRequest {
  std::string id;
  std::string tenant;
  std::string route;
  std::string_view state;  // "reading", "waiting" for its first token, "answering"
  double age_ms = 0;
  int64_t prompt_tokens = 0;
  int64_t max_output_tokens = 0;  // 0: not known yet
  int64_t output_tokens = 0;
};

class Tenants;

// A request from its admission to its end. What it did not use of its reservations goes back with
// the last delivery, or when it is destroyed.
class Ticket {
 public:
  ~Ticket();
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

  const TenantSpec& spec() const { return *access_.spec; }

  // Fits the request into what its tenant may use: sets tenant and class, bounds max_tokens by
  // max_output_tokens and, where the client named none, by what a minute's tokens leave. Then
  // reserves. window: prompt and output together. Errors: kMaxInputTokensExceeded,
  // kMaxOutputTokensExceeded, and those of TenantMeter::reserve.
  Status reserve(engine::Request& request, int64_t window);
  // Every delivery of the engine for this request.
  void on_delivery(const engine::Delivery& delivery);

  // Its place among the tenant's concurrent requests, which is free when this is destroyed. For
  // http::ResponseWriter::hold; call once.
  std::shared_ptr<void> take_place() { return std::move(place_); }

  // x-ratelimit-{limit,remaining,reset}-{requests,tokens}, as far as there are limits.
  http::Headers rate_headers() const;
  ActiveRequest describe(int64_t now_ns) const;

 private:
  friend class Tenants;
  class Place;
  Ticket(Tenants& tenants, Access access, std::string id, std::string route, int64_t begun_ns);
  void settle() WEIR_EXCLUDES(access_.state->mutex);

  Tenants& tenants_;
  const Access access_;
  const std::string id_;
  const std::string route_;
  const int64_t begun_ns_;
  std::shared_ptr<void> place_;
  std::atomic<int> stage_{0};
  std::atomic<int> open_{0};  // reserved and not done
  std::atomic<int64_t> prompt_tokens_{0};
  std::atomic<int64_t> max_output_tokens_{0};
  std::atomic<int64_t> output_tokens_{0};
  std::atomic<int64_t> used_tokens_{0};  // of deliveries that are done
  std::vector<TenantMeter::Reservation> reservations_ WEIR_GUARDED_BY(access_.state->mutex);
};

class Tenants {
 public:
  // secret: random bytes, for keyed hashes.
  Tenants(const Clock& clock, telemetry::Registry& registry, std::string secret);

  // Keys and limits from now on. What tenants have taken stays counted. Tickets keep the spec they
  // began with. guarded: somebody asked for keys, so that one is needed even when the file has none
  // (any more). Without, and as long as there never was a key, everybody may do everything but
  // admin; once guarded, always guarded: no reload opens a server.
  void load(KeysFile file, const std::vector<std::string>& api_keys, bool guarded)
      WEIR_EXCLUDES(mutex_);

  // Error kInvalidApiKey or kPermissionDenied; nothing: only check_slow can tell.
  Result<std::optional<Access>> check(const http::Headers& headers, Right right) const
      WEIR_EXCLUDES(mutex_);
  // As Keyring::verify; not on an I/O thread.
  Result<Access> check_slow(const http::Headers& headers, Right right) const WEIR_EXCLUDES(mutex_);
  // A key's right without a request; keys that need argon2id count once they were used.
  bool has_right(std::string_view key, Right right) const WEIR_EXCLUDES(mutex_);

  // Error kRateLimitExceeded.
  Result<std::shared_ptr<Ticket>> begin(const Access& access, const http::Request& request)
      WEIR_EXCLUDES(mutex_);
  // The headers of an answer without a ticket.
  http::Headers rate_headers(const Access& access) const;

  std::vector<ActiveRequest> active() const WEIR_EXCLUDES(active_mutex_);
  telemetry::TenantMetrics& metrics() { return metrics_; }

 private:
  friend class Ticket;
  std::shared_ptr<const Keyring> keyring() const WEIR_EXCLUDES(mutex_);
  Result<Access> access_of(const Keyring::Found& found, std::string_view presented,
                           Right right) const WEIR_EXCLUDES(mutex_);

  const Clock& clock_;
  const std::string secret_;
  telemetry::TenantMetrics metrics_;
  mutable Mutex mutex_;
  // shared: a check goes on with the keyring it began with while a reload brings another.
  std::shared_ptr<const Keyring> keyring_ WEIR_GUARDED_BY(mutex_);
  std::atomic<bool> guarded_{false};
  std::unordered_map<std::string, std::shared_ptr<TenantState>> states_ WEIR_GUARDED_BY(mutex_);
  mutable Mutex active_mutex_;
  std::set<const Ticket*> active_ WEIR_GUARDED_BY(active_mutex_);
};

}  // namespace weir::server
