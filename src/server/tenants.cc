#include "server/tenants.h"

#include <algorithm>
#include <utility>

#include "access/credentials.h"
#include "access/rate_headers.h"

namespace weir::server {
namespace {

constexpr size_t kMaxListed = 1000;  // requests in /admin/requests

void add_view(http::Headers& headers, std::string_view what, const TenantMeter::View& v) {
  if (v.limit == 0) return;
  access::set_rate_headers(headers, what, v.limit, v.remaining, v.reset_ns);
}

http::Headers headers_of(TenantState& state, int64_t now_ns) {
  http::Headers headers;
  MutexLock lock(state.mutex);
  add_view(headers, "requests", state.meter.requests(now_ns));
  add_view(headers, "tokens", state.meter.tokens(now_ns));
  return headers;
}

enum Stage { kReading, kWaiting, kAnswering };

}  // namespace

class Ticket::Place {
 public:
  explicit Place(std::shared_ptr<TenantState> state) : state_(std::move(state)) {}
  ~Place() {
    MutexLock lock(state_->mutex);
    state_->meter.end();
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  std::shared_ptr<TenantState> state_;
};

Ticket::Ticket(Tenants& tenants, Access access, std::string id, std::string route, int64_t begun_ns)
    : tenants_(tenants),
      access_(std::move(access)),
      id_(std::move(id)),
      route_(std::move(route)),
      begun_ns_(begun_ns),
      place_(std::make_shared<Place>(access_.state)) {}

Ticket::~Ticket() {
  {
    MutexLock lock(tenants_.active_mutex_);
    tenants_.active_.erase(this);
  }
  settle();
}

void Ticket::settle() {
  const int64_t now_ns = tenants_.clock_.now_ns();
  MutexLock lock(access_.state->mutex);
  // Reservations of one request lie close together: what was used counts against the first.
  int64_t used = used_tokens_.load(std::memory_order_relaxed);
  for (const TenantMeter::Reservation& r : reservations_) {
    const int64_t part = std::min(used, r.tokens);
    access_.state->meter.reconcile(r, part, now_ns);
    used -= part;
  }
  reservations_.clear();
}

Status Ticket::reserve(engine::Request& q, int64_t window) {
  const TenantSpec& s = spec();
  const int64_t prompt = q.prompt_tokens();
  if (s.max_input_tokens > 0 && prompt > s.max_input_tokens)
    return param_error(ErrorCode::kMaxInputTokensExceeded, q.embeds() ? "input" : "prompt",
                       "the {} has {} tokens; this key's tenant may send {} (max_input_tokens)",
                       q.embeds() ? "input" : "prompt", prompt, s.max_input_tokens);
  if (s.max_output_tokens > 0 && q.max_tokens > s.max_output_tokens)
    return param_error(ErrorCode::kMaxOutputTokensExceeded, "max_tokens",
                       "max_tokens is {}; this key's tenant may ask for {} (max_output_tokens)",
                       q.max_tokens, s.max_output_tokens);
  q.tenant = {s.name, s.weight, s.max_running, s.max_queued_requests, s.max_queued_tokens};
  if (s.service_class == "batch") q.service_class = engine::ServiceClass::kBatch;
  int64_t output = 0;
  if (!q.embeds() && !q.prompt_only) {
    const int64_t n = std::max(q.n, 1);
    if (q.max_tokens == 0) {
      int64_t most = window - prompt;
      if (s.max_output_tokens > 0) most = std::min<int64_t>(most, s.max_output_tokens);
      if (s.tokens_per_min > 0) most = std::min(most, (s.tokens_per_min - prompt) / n);
      // Where nothing is left the engine or the meter says so.
      if (most > 0 && most < window - prompt) q.max_tokens = static_cast<int32_t>(most);
      output = std::max<int64_t>(most, 1) * n;
    } else {
      output = q.max_tokens * n;
    }
  }
  prompt_tokens_.fetch_add(prompt, std::memory_order_relaxed);
  max_output_tokens_.fetch_add(output, std::memory_order_relaxed);
  stage_.store(kWaiting, std::memory_order_relaxed);
  open_.fetch_add(1, std::memory_order_relaxed);
  if (s.tokens_per_min == 0) return {};
  MutexLock lock(access_.state->mutex);
  auto r = access_.state->meter.reserve(prompt, output, tenants_.clock_.now_ns());
  if (r.ok()) {
    reservations_.push_back(*r);
    return {};
  }
  if (r.error().code == ErrorCode::kRateLimitExceeded) {
    // It was not served: only what is served counts against requests_per_min.
    access_.state->meter.forget(begun_ns_, tenants_.clock_.now_ns());
    tenants_.metrics_.refused.with(s.name).add();
  }
  return r.error();
}

void Ticket::on_delivery(const engine::Delivery& d) {
  int64_t tokens = 0;
  for (const engine::Event& e : d.events) tokens += static_cast<int64_t>(e.tokens.size());
  if (tokens > 0) {
    stage_.store(kAnswering, std::memory_order_relaxed);
    output_tokens_.fetch_add(tokens, std::memory_order_relaxed);
  }
  if (!d.done) return;
  used_tokens_.fetch_add(int64_t{d.usage.prompt_tokens} + d.usage.completion_tokens,
                         std::memory_order_relaxed);
  tenants_.metrics_.prompt_tokens.with(spec().name).add(d.usage.prompt_tokens);
  tenants_.metrics_.generation_tokens.with(spec().name).add(d.usage.completion_tokens);
  if (open_.fetch_sub(1, std::memory_order_relaxed) == 1) settle();
}

http::Headers Ticket::rate_headers() const {
  return headers_of(*access_.state, tenants_.clock_.now_ns());
}

ActiveRequest Ticket::describe(int64_t now_ns) const {
  constexpr std::string_view kStages[] = {"reading", "waiting", "answering"};
  ActiveRequest r;
  r.id = id_;
  r.tenant = spec().name;
  r.route = route_;
  r.state = kStages[stage_.load(std::memory_order_relaxed)];
  r.age_ms = static_cast<double>(now_ns - begun_ns_) * 1e-6;
  r.prompt_tokens = prompt_tokens_.load(std::memory_order_relaxed);
  r.max_output_tokens = max_output_tokens_.load(std::memory_order_relaxed);
  r.output_tokens = output_tokens_.load(std::memory_order_relaxed);
  return r;
}

Tenants::Tenants(const Clock& clock, telemetry::Registry& registry, std::string secret)
    : clock_(clock), secret_(std::move(secret)), metrics_(registry) {
  load({}, {}, false);
}

void Tenants::load(KeysFile file, const std::vector<std::string>& api_keys, bool guarded) {
  TenantSpec anonymous;  // --api-key, and everybody when there are no keys
  std::vector<TenantSpec> specs = file.tenants;
  specs.push_back(std::move(anonymous));
  auto keyring = std::make_shared<const Keyring>(std::move(file), api_keys, secret_);
  if (guarded || !keyring->empty()) guarded_ = true;
  MutexLock lock(mutex_);
  std::unordered_map<std::string, std::shared_ptr<TenantState>> states;
  for (TenantSpec& spec : specs) {
    auto known = states_.find(spec.name);
    auto state = known == states_.end() ? std::make_shared<TenantState>() : known->second;
    {
      MutexLock state_lock(state->mutex);
      state->meter.set_spec(spec);
      state->spec = std::make_shared<const TenantSpec>(spec);
    }
    states.emplace(spec.name, std::move(state));
  }
  states_ = std::move(states);
  keyring_ = std::move(keyring);
}

std::shared_ptr<const Keyring> Tenants::keyring() const {
  MutexLock lock(mutex_);
  return keyring_;
}

Result<Access> Tenants::access_of(const Keyring::Found& found, std::string_view presented,
                                  Right right) const {
  const bool open = !guarded_ && right != Right::kAdmin;
  if (!open && found.entry == nullptr) {
    metrics_.auth_failures.with("key").add();
    return access::bad_key_error(presented);
  }
  if (!open && (found.entry->rights & static_cast<unsigned>(right)) == 0) {
    metrics_.auth_failures.with("right").add();
    return make_error(ErrorCode::kPermissionDenied, "this key has no right to do this");
  }
  MutexLock lock(mutex_);
  const auto state = states_.find(open ? "" : found.entry->tenant);
  if (state == states_.end())  // a reload dropped the tenant while the key was checked
    return make_error(ErrorCode::kInvalidApiKey, "this key is not valid any more");
  MutexLock state_lock(state->second->mutex);
  return Access{state->second, state->second->spec};
}

Result<std::optional<Access>> Tenants::check(const http::Headers& headers, Right right) const {
  const std::shared_ptr<const Keyring> ring = keyring();
  Keyring::Found found;
  const std::string_view presented = access::presented_key(headers);
  if (!ring->empty()) found = ring->find(presented);
  if (found.verdict == Keyring::Verdict::kSlow) return std::optional<Access>();
  WEIR_ASSIGN(Access access, access_of(found, presented, right));
  return std::optional<Access>(std::move(access));
}

Result<Access> Tenants::check_slow(const http::Headers& headers, Right right) const {
  const std::shared_ptr<const Keyring> ring = keyring();
  const std::string_view presented = access::presented_key(headers);
  WEIR_ASSIGN(const Keyring::Found found, ring->verify(presented, clock_.now_ns()));
  return access_of(found, presented, right);
}

bool Tenants::has_right(std::string_view key, Right right) const {
  const std::shared_ptr<const Keyring> ring = keyring();
  const Keyring::Found found = ring->find(key);
  return found.entry != nullptr && (found.entry->rights & static_cast<unsigned>(right)) != 0;
}

Result<std::shared_ptr<Ticket>> Tenants::begin(const Access& access, const http::Request& request) {
  const int64_t now_ns = clock_.now_ns();
  {
    MutexLock lock(access.state->mutex);
    if (Status ok = access.state->meter.begin(now_ns); !ok.ok()) {
      metrics_.refused.with(access.spec->name).add();
      return std::move(ok).error();
    }
  }
  // shared: the answer's callbacks and the task that makes it end it together.
  std::shared_ptr<Ticket> ticket(
      new Ticket(*this, access, request.request_id, request.path, now_ns));
  metrics_.requests.with(access.spec->name).add();
  MutexLock lock(active_mutex_);
  active_.insert(ticket.get());
  return ticket;
}

http::Headers Tenants::rate_headers(const Access& access) const {
  return headers_of(*access.state, clock_.now_ns());
}

std::vector<ActiveRequest> Tenants::active() const {
  const int64_t now_ns = clock_.now_ns();
  std::vector<ActiveRequest> list;
  MutexLock lock(active_mutex_);
  for (const Ticket* t : active_) {
    if (list.size() >= kMaxListed) break;
    list.push_back(t->describe(now_ns));
  }
  return list;
}

}  // namespace weir::server
