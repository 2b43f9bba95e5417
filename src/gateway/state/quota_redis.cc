#include "gateway/state/quota_redis.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <random>
#include <utility>

#include "base/rng.h"
#include "gateway/state/quota_redis_scripts.h"
#include "os/thread.h"

namespace weir::gateway {
namespace {

constexpr QuotaWindow kWindows[] = {QuotaWindow::kMinute, QuotaWindow::kDay, QuotaWindow::kMonth};
constexpr int64_t kSecondMs = 1000;
constexpr const char* kScripts[] = {kQuotaLuaReserve, kQuotaLuaExtend, kQuotaLuaSettle,
                                    kQuotaLuaRead};

std::string text(int64_t n) { return fmt::format("{}", n); }

int64_t number(const std::string& digits) {
  int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

uint64_t drawn_replica() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

// When a bucket that Redis named leaves its window. Nothing for one that no clock of a replica can
// have meant: no such number is reckoned with.
std::optional<int64_t> leaves_ms(int64_t window, int64_t bucket, int64_t last_ms, int64_t unix_ms) {
  constexpr int64_t kBeside = 1000;  // seconds, days or months
  if (window < 0 || window > 2) return std::nullopt;
  const auto of = static_cast<QuotaWindow>(window);
  const int64_t now = window_at(of, unix_ms).bucket;
  if (bucket < now - kBeside || bucket > now + kBeside) return std::nullopt;
  const int64_t end_ms = second_ends_ms(bucket);
  if (of == QuotaWindow::kMinute && (last_ms < end_ms - kSecondMs || last_ms > end_ms))
    return std::nullopt;
  return bucket_leaves_ms(of, bucket, last_ms);
}

// What reserve and extend say. Nothing for what is no answer of theirs.
std::optional<QuotaAnswer> answer_of(const std::vector<std::string>& t, int64_t unix_ms) {
  QuotaAnswer a;
  if (t.size() < 2) return std::nullopt;
  if (t[1] == "1") {
    for (size_t i = 2; i < t.size(); ++i) a.used.push_back(number(t[i]));
    return a;
  }
  if (t.size() != 8) return std::nullopt;
  if (number(t[2]) < 1) return std::nullopt;
  a.verdict = QuotaVerdict::kRefused;
  a.refused = static_cast<size_t>(number(t[2])) - 1;
  a.refused_used = number(t[3]);
  a.refused_wanted = number(t[4]);
  a.retry_after_ms = QuotaAnswer::kNever;
  if (t[5].empty()) return a;
  const auto leaves = leaves_ms(number(t[6]), number(t[5]), number(t[7]), unix_ms);
  if (!leaves.has_value()) return std::nullopt;
  a.retry_after_ms = *leaves - unix_ms;
  return a;
}

}  // namespace

RedisQuotaStore::RedisQuotaStore(const RedisQuotaOptions& options, const QuotaMetrics& metrics)
    : options_(options),
      metrics_(metrics),
      replica_(options.replica != 0 ? options.replica : drawn_replica()),
      thread_([this] { loop(); }) {}

RedisQuotaStore::~RedisQuotaStore() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool RedisQuotaStore::connected() const {
  MutexLock lock(mutex_);
  return connected_;
}

// The arguments in front of each script's own.
std::vector<std::string> RedisQuotaStore::common(const QuotaAmounts& amounts,
                                                 int64_t unix_ms) const {
  std::vector<std::string> out = {options_.prefix, text(unix_ms)};
  for (const QuotaWindow w : kWindows) out.push_back(text(window_at(w, unix_ms).bucket));
  for (const QuotaWindow w : kWindows) out.push_back(text(window_at(w, unix_ms).first));
  for (size_t m = 0; m < kQuotaMetrics; ++m)
    out.push_back(text(amounts.of(static_cast<QuotaMetric>(m))));
  return out;
}

void RedisQuotaStore::reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate,
                              int64_t unix_ms, QuotaCallback done) {
  if (limits.empty()) return done(QuotaAnswer{});
  if (std::string problem = quota_problem(limits); !problem.empty()) {
    QuotaAnswer a;
    a.verdict = QuotaVerdict::kUnavailable;
    a.why = std::move(problem);
    metrics_.count(a);
    return done(std::move(a));
  }
  Call call;
  call.kind = Kind::kReserve;
  call.unix_ms = unix_ms;
  call.done = std::move(done);
  {
    MutexLock lock(mutex_);
    call.reservation = fmt::format("{:016x}-{}", replica_, next_++);
  }
  call.arguments = common(estimate, unix_ms);
  for (std::string a : {call.reservation, text(options_.lifetime_ms), text(options_.remember_ms),
                        text(options_.expiry == QuotaExpiry::kRefund ? 1 : 0),
                        text(static_cast<int64_t>(limits.size()))})
    call.arguments.push_back(std::move(a));
  for (const QuotaLimit& l : limits) {
    call.arguments.push_back(l.counter);
    call.arguments.push_back(text(static_cast<int64_t>(l.metric)));
    call.arguments.push_back(text(static_cast<int64_t>(l.window)));
    call.arguments.push_back(text(l.limit));
  }
  push(std::move(call));
}

void RedisQuotaStore::extend(const std::string& reservation, const QuotaAmounts& more,
                             int64_t unix_ms, QuotaCallback done) {
  if (reservation.empty()) return done(QuotaAnswer{});
  QuotaAmounts taken = more;
  taken.requests = 0;
  Call call;
  call.kind = Kind::kExtend;
  call.reservation = reservation;
  call.unix_ms = unix_ms;
  call.done = std::move(done);
  call.arguments = common(taken, unix_ms);
  for (std::string a : {reservation, text(options_.lifetime_ms), text(options_.remember_ms)})
    call.arguments.push_back(std::move(a));
  push(std::move(call));
}

RedisQuotaStore::Call RedisQuotaStore::settlement(const std::string& reservation,
                                                  const QuotaAmounts& actual,
                                                  int64_t unix_ms) const {
  Call call;
  call.kind = Kind::kSettle;
  call.reservation = reservation;
  call.unix_ms = unix_ms;
  call.arguments = common(actual, unix_ms);
  call.arguments.push_back(reservation);
  return call;
}

void RedisQuotaStore::reconcile(const std::string& reservation, const QuotaAmounts& actual,
                                int64_t unix_ms) {
  if (!reservation.empty()) push(settlement(reservation, actual, unix_ms));
}

void RedisQuotaStore::read(const std::vector<QuotaLimit>& limits, int64_t unix_ms,
                           std::function<void(std::vector<int64_t>)> done) {
  Call call;
  call.kind = Kind::kRead;
  call.unix_ms = unix_ms;
  call.read = std::move(done);
  call.arguments = common(QuotaAmounts{.requests = 0}, unix_ms);
  call.arguments.push_back(text(static_cast<int64_t>(limits.size())));
  for (const QuotaLimit& l : limits) {
    call.arguments.push_back(l.counter);
    call.arguments.push_back(text(static_cast<int64_t>(l.window)));
  }
  push(std::move(call));
}

void RedisQuotaStore::push(Call call) {
  const bool settles = call.kind == Kind::kSettle;
  std::string why;
  {
    MutexLock lock(mutex_);
    std::deque<Call>& queue = settles ? settlements_ : queue_;
    if (down_ && !settles) {
      why = "Redis does not answer";
    } else if (queue.size() < (settles ? options_.max_queued : options_.max_waiting)) {
      queue.push_back(std::move(call));
      wake_.notify_one();
      return;
    } else {
      why = fmt::format("{} calls wait for Redis", queue.size());
    }
  }
  if (settles)
    metrics_.lost.add();
  else
    fail(call, why);
}

void RedisQuotaStore::loop() {
  os::set_thread_name("weir-quota");
  // hiredis writes without MSG_NOSIGNAL; the signal goes to the thread that writes.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  metrics_.up.set(0);
  // So that it is known, before somebody asks, whether there is one.
  if (!connect()) lost({}, false, "Redis cannot be reached");
  std::vector<Call> batch;
  while (next_batch(batch)) {
    // One that Redis closed while nobody asked is no failure.
    if (connection_ && connection_->is_stale()) connection_.reset();
    if (!connection_ && !connect()) {
      lost(std::move(batch), false, "Redis cannot be reached");
    } else if (!batch.empty()) {
      send(std::move(batch));
    }
    batch.clear();
  }
  lost({}, false, "the gateway ends");  // who still waits is answered
}

// Settlements first: they make room. Nothing while Redis is down: it is time to try again. False:
// the store ends, and nothing more can be sent.
bool RedisQuotaStore::next_batch(std::vector<Call>& batch) {
  MutexLock lock(mutex_);
  for (;;) {
    const auto now = std::chrono::steady_clock::now();
    const bool waits = !queue_.empty() || !settlements_.empty();
    if (stopping_ && (down_ || !waits)) break;
    if (down_ ? now >= try_again_ : waits) break;
    if (down_) {
      wake_.wait_for(mutex_, try_again_ - now);
    } else if (wake_.wait_for(mutex_, std::chrono::seconds(1)) == std::cv_status::timeout) {
      return true;  // to see whether Redis is still there
    }
  }
  if (down_ && !stopping_) return true;
  if (down_) {
    metrics_.lost.add(static_cast<double>(settlements_.size()));
    return false;
  }
  for (std::deque<Call>* queue : {&settlements_, &queue_}) {
    while (!queue->empty() && batch.size() < options_.max_pipeline) {
      batch.push_back(std::move(queue->front()));
      queue->pop_front();
    }
  }
  return !batch.empty();
}

// With the scripts, one of which has run: a Redis that takes connections and hangs is none.
Result<RedisConnection> RedisQuotaStore::open_and_try() {
  WEIR_ASSIGN(RedisConnection opened, RedisConnection::open(options_.address));
  std::vector<std::vector<std::string>> loads;
  for (const char* script : kScripts)
    loads.push_back({"SCRIPT", "LOAD", std::string(kQuotaLuaCommon) + script});
  WEIR_ASSIGN(const std::vector<RedisReply> replies, opened.call(loads));
  shas_.clear();
  for (const RedisReply& r : replies)
    if (!r.error && r.texts.size() == 1) shas_.push_back(r.texts[0]);
  if (shas_.size() != std::size(kScripts))
    return make_error(ErrorCode::kIo, "Redis takes no scripts");
  std::vector<std::string> nothing = {"EVALSHA", shas_[static_cast<size_t>(Kind::kRead)], "1",
                                      options_.prefix};
  for (std::string& a : common(QuotaAmounts{.requests = 0}, 0)) nothing.push_back(std::move(a));
  nothing.emplace_back("0");
  WEIR_ASSIGN(const std::vector<RedisReply> ran, opened.call({nothing}));
  if (ran[0].error) return make_error(ErrorCode::kIo, "{}", ran[0].texts[0]);
  return opened;
}

bool RedisQuotaStore::connect() {
  auto opened = open_and_try();
  if (!opened.ok()) {
    metrics_.failures.add();
    disconnect();
    return false;
  }
  connection_.emplace(std::move(*opened));
  metrics_.up.set(1);
  MutexLock lock(mutex_);
  connected_ = true;
  down_ = false;
  return true;
}

// And when to try again: twice as long each time, with jitter so that replicas do not come at once.
void RedisQuotaStore::disconnect() {
  connection_.reset();
  backoff_ms_ = std::clamp(backoff_ms_ * 2, options_.first_backoff_ms, options_.max_backoff_ms);
  const double share = 0.5 + 0.5 * random_unit(replica_, 0, ++attempts_);
  try_again_ = std::chrono::steady_clock::now() +
               std::chrono::milliseconds(static_cast<int64_t>(backoff_ms_ * share));
  metrics_.up.set(0);
  MutexLock lock(mutex_);
  connected_ = false;
  down_ = true;
}

void RedisQuotaStore::send(std::vector<Call> batch) {
  std::vector<std::vector<std::string>> commands;
  commands.reserve(batch.size());
  for (const Call& call : batch) {
    std::vector<std::string> words = {"EVALSHA", shas_[static_cast<size_t>(call.kind)], "1",
                                      options_.prefix};
    words.insert(words.end(), call.arguments.begin(), call.arguments.end());
    commands.push_back(std::move(words));
  }
  auto replies = connection_->call(commands);
  if (!replies.ok()) {
    metrics_.failures.add();
    disconnect();
    return lost(std::move(batch), true, replies.error().message);
  }
  backoff_ms_ = 0;  // not when it was connected: one that hangs under load takes connections
  std::vector<Call> failed;
  std::string why;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!(*replies)[i].error) {
      answer(batch[i], (*replies)[i]);
      continue;
    }
    why = (*replies)[i].texts[0];
    failed.push_back(std::move(batch[i]));
  }
  if (failed.empty()) return;
  // Still loading, out of memory, scripts flushed: begin anew after a pause.
  metrics_.failures.add();
  disconnect();
  lost(std::move(failed), true, why);
}

void RedisQuotaStore::answer(Call& call, const RedisReply& reply) {
  if (call.kind == Kind::kSettle) return;
  if (call.kind == Kind::kRead) {
    std::vector<int64_t> used;
    used.reserve(reply.texts.size());
    for (const std::string& t : reply.texts) used.push_back(number(t));
    return call.read(std::move(used));
  }
  auto answer = answer_of(reply.texts, call.unix_ms);
  if (!answer) return fail(call, "Redis gave an answer that is none");
  metrics_.expired.add(static_cast<double>(number(reply.texts[0])));
  if (answer->verdict == QuotaVerdict::kGranted) answer->reservation = call.reservation;
  metrics_.count(*answer);
  call.done(std::move(*answer));
}

// Without Redis: as configured.
void RedisQuotaStore::fail(Call& call, const std::string& why) {
  if (call.kind == Kind::kRead) return call.read({});
  QuotaAnswer a;
  a.uncounted = options_.fail_open;
  a.verdict = options_.fail_open ? QuotaVerdict::kGranted : QuotaVerdict::kUnavailable;
  if (options_.fail_open && call.kind == Kind::kExtend) a.reservation = call.reservation;
  a.why = why;
  metrics_.count(a);
  call.done(std::move(a));
}

// sent: Redis may have done them. Settlements are sent again, which does nothing the second time;
// reserves that may have been done are given back.
void RedisQuotaStore::lost(std::vector<Call> batch, bool sent, const std::string& why) {
  std::vector<Call> again;
  for (Call& call : batch) {
    if (call.kind == Kind::kSettle) {
      again.push_back(std::move(call));
      continue;
    }
    if (sent && call.kind == Kind::kReserve)
      again.push_back(settlement(call.reservation, QuotaAmounts{.requests = 0}, call.unix_ms));
    fail(call, why);
  }
  std::deque<Call> waiting;  // who came meanwhile
  {
    MutexLock lock(mutex_);
    waiting.swap(queue_);
  }
  for (Call& call : waiting) fail(call, why);
  MutexLock lock(mutex_);
  for (auto call = again.rbegin(); call != again.rend(); ++call) {
    if (settlements_.size() < options_.max_queued)
      settlements_.push_front(std::move(*call));
    else
      metrics_.lost.add();
  }
}

}  // namespace weir::gateway
