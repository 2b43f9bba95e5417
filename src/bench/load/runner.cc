#include "bench/load/runner.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/thread_annotations.h"
#include "bench/load/answer_reader.h"

namespace weir::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
using TimePoint = SteadyClock::time_point;

// A user whose request failed rests before the next: the server's Retry-After up to the first, else
// the second. Without a rest a closed loop against a server that refuses would only count refusals.
constexpr double kMaxRetryRest_s = 1.0;
constexpr double kFailureRest_s = 0.1;
constexpr std::chrono::milliseconds kProgressEvery{100};
constexpr int32_t kMostReserved = 1024;  // gaps of a request, before the first has come
// Users of the warm-up of an open loop: enough to fill caches, too few to overload.
constexpr int32_t kWarmupConcurrency = 4;

// One conversation under way.
struct Talk {
  uint64_t index = 0;
  Conversation plan;
  size_t turn = 0;
  double intended_s = 0;
  std::vector<Exchange> history;
  std::string user;  // the text of the current turn
};

// One phase of a run: warm-up or measured. All on the I/O thread, but for wait() and progress.
// Shared with its own timers, which may outlast the run.
class Phase : public std::enable_shared_from_this<Phase> {
 public:
  Phase(http::Client& client, const Target& target, const RequestShape& shape,
        const Workload& workload, const PromptWords& words, const Schedule& schedule,
        uint64_t first_index, uint64_t end_index)
      : client_(client),
        target_(target),
        shape_(shape),
        workload_(workload),
        words_(words),
        schedule_(schedule),
        next_index_(first_index),
        first_index_(first_index),
        end_index_(end_index) {}

  void start();
  void stop();
  // Waits until the last request has ended; false when on_progress asked for the end.
  bool wait(const LoadRunner::OnProgress& on_progress, bool warming_up);
  std::vector<RequestRecord> take_records() { return std::move(records_); }
  double end_s() const { return end_s_; }
  uint64_t next_index() const { return next_index_; }
  bool full() const { return record_bytes_ > kMaxRecordBytes; }

 private:
  class Handler;
  double now_s() const {
    return std::chrono::duration<double>(SteadyClock::now() - start_).count();
  }
  TimePoint at(double s) const {
    return start_ +
           std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(s));
  }
  bool more() const;
  void arrive();
  void schedule_arrival();
  std::optional<double> next_arrival_s() const;
  void next_user();
  void begin(double intended_s);
  void send(std::shared_ptr<Talk> talk);
  void on_end(const std::shared_ptr<Talk>& talk, RequestRecord record, const std::string& answer);
  void after(const std::shared_ptr<Talk>& talk, const RequestRecord& record);
  void check_over();

  http::Client& client_;
  const Target& target_;
  const RequestShape& shape_;
  const Workload& workload_;
  const PromptWords& words_;
  const Schedule schedule_;

  // I/O thread.
  TimePoint start_;
  uint64_t next_index_;
  uint64_t first_index_;
  uint64_t end_index_;    // of conversations
  uint64_t planned_ = 0;  // requests of all conversations begun
  double arrival_s_ = 0;
  int64_t live_ = 0;  // conversations begun and not over, and users at rest
  bool arriving_ = false;
  bool stopping_ = false;
  double end_s_ = 0;
  uint64_t record_bytes_ = 0;
  std::vector<RequestRecord> records_;
  std::unordered_set<http::Client::RequestId> in_flight_;

  Mutex mutex_;
  ConditionVariable changed_;
  bool over_ WEIR_GUARDED_BY(mutex_) = false;
  RunProgress progress_ WEIR_GUARDED_BY(mutex_);
};

class Phase::Handler final : public http::ResponseHandler {
 public:
  Handler(std::shared_ptr<Phase> phase, std::shared_ptr<Talk> talk, bool keep_text)
      : phase_(std::move(phase)), talk_(std::move(talk)), reader_(record_, keep_text) {
    record_.intended_s = talk_->intended_s;
    record_.group = talk_->plan.group;
    record_.session = talk_->plan.session;
    record_.turn = static_cast<int32_t>(talk_->turn);
    const Turn& turn = talk_->plan.turns[talk_->turn];
    if (phase_->shape_.stream)
      record_.gaps_ms.reserve(static_cast<size_t>(std::min(turn.output_tokens, kMostReserved)));
    for (const Piece& p : turn.pieces) record_.prompt_tokens += p.tokens;
  }
  void set_id(http::Client::RequestId id) { id_ = id; }

  void on_sent() override { record_.sent_s = phase_->now_s(); }
  void on_head(const http::Response& head) override { reader_.on_head(head); }
  bool on_body(std::string_view piece) override {
    reader_.on_body(piece, phase_->now_s());
    return true;
  }
  void on_end(const http::Failure* failure) override {
    phase_->in_flight_.erase(id_);
    reader_.on_end(failure, phase_->now_s());
    phase_->on_end(talk_, std::move(record_), reader_.text());
  }

 private:
  std::shared_ptr<Phase> phase_;
  std::shared_ptr<Talk> talk_;
  RequestRecord record_;
  AnswerReader reader_;
  http::Client::RequestId id_ = 0;
};

void Phase::start() {
  client_.post([this, self = shared_from_this()] {
    start_ = SteadyClock::now();
    if (schedule_.kind == Schedule::Kind::kClosed) {
      for (int32_t user = 0; user < schedule_.concurrency; ++user) next_user();
      check_over();
    } else {
      arriving_ = true;
      schedule_arrival();
    }
  });
}

void Phase::stop() {
  client_.post([this, self = shared_from_this()] {
    stopping_ = true;
    for (const auto id : in_flight_) client_.cancel(id);
    check_over();
  });
}

bool Phase::more() const {
  if (stopping_ || full() || next_index_ >= end_index_) return false;
  if (schedule_.requests > 0 && planned_ >= schedule_.requests) return false;
  return schedule_.duration_s <= 0 || now_s() < schedule_.duration_s;
}

// Of the conversation with next_index_; nothing when the run ends before it.
std::optional<double> Phase::next_arrival_s() const {
  if (!more()) return std::nullopt;
  double s = 0;
  if (schedule_.kind == Schedule::Kind::kTrace) {
    const auto& rows = workload_.dataset()->rows;
    s = (rows[next_index_ % rows.size()].at_s - rows[first_index_ % rows.size()].at_s) *
        schedule_.time_scale;
  } else {
    s = arrival_s_ + schedule_.arrivals.gap_s(workload_.spec().seed, next_index_);
  }
  if (schedule_.duration_s > 0 && s >= schedule_.duration_s) return std::nullopt;
  return s;
}

void Phase::schedule_arrival() {
  const std::optional<double> s = next_arrival_s();
  if (!s.has_value()) {
    arriving_ = false;
    return check_over();
  }
  arrival_s_ = *s;
  client_.post_at(at(*s), [this, self = shared_from_this()] { arrive(); });
}

// Sends all that is due: a timer that comes late does not make the schedule late.
void Phase::arrive() {
  while (!stopping_) {
    begin(arrival_s_);
    const std::optional<double> s = next_arrival_s();
    if (!s.has_value() || *s > now_s()) break;
    arrival_s_ = *s;
  }
  schedule_arrival();
}

void Phase::next_user() {
  if (more()) begin(now_s());
}

void Phase::begin(double intended_s) {
  auto talk = std::make_shared<Talk>();
  talk->index = next_index_++;
  talk->plan = workload_.conversation(talk->index);
  talk->intended_s = intended_s;
  planned_ += talk->plan.turns.size();
  ++live_;
  send(std::move(talk));
}

void Phase::send(std::shared_ptr<Talk> talk) {
  const Turn& turn = talk->plan.turns[talk->turn];
  std::string body;
  if (turn.row >= 0) {
    body = request_body(target_, shape_, turn,
                        workload_.dataset()->rows[static_cast<size_t>(turn.row)]);
  } else {
    talk->user = prompt_text(words_, workload_.spec().seed, turn.pieces);
    body = request_body(target_, shape_, turn, talk->history, talk->user);
  }
  const bool keep_text = talk->turn + 1 < talk->plan.turns.size();
  auto handler = std::make_unique<Handler>(shared_from_this(), std::move(talk), keep_text);
  Handler* raw = handler.get();
  {
    MutexLock lock(mutex_);
    ++progress_.sent;
  }
  const auto id = client_.send(
      target_request(target_, "POST", target_.chat ? "/v1/chat/completions" : "/v1/completions",
                     std::move(body)),
      std::move(handler));
  // The client answers no request from within send().
  raw->set_id(id);
  in_flight_.insert(id);
}

void Phase::on_end(const std::shared_ptr<Talk>& talk, RequestRecord record,
                   const std::string& answer) {
  end_s_ = std::max(end_s_, record.end_s);
  {
    MutexLock lock(mutex_);
    ++progress_.ended;
    progress_.failed += record.outcome != Outcome::kOk ? 1 : 0;
    progress_.output_tokens += static_cast<uint64_t>(record.output_tokens);
  }
  if (talk->turn + 1 < talk->plan.turns.size())
    talk->history.push_back({std::move(talk->user), answer});
  after(talk, record);
  if (!stopping_) {
    record_bytes_ += sizeof(record) + record.gaps_ms.capacity() * sizeof(float);
    records_.push_back(std::move(record));
  }
  check_over();
}

// The next turn of the conversation, or the next conversation of its user.
void Phase::after(const std::shared_ptr<Talk>& talk, const RequestRecord& record) {
  const bool ok = record.outcome == Outcome::kOk;
  const bool in_time = schedule_.duration_s <= 0 || record.end_s < schedule_.duration_s;
  if (ok && in_time && !stopping_ && ++talk->turn < talk->plan.turns.size()) {
    const double think_s = talk->plan.turns[talk->turn].think_s;
    talk->intended_s = record.end_s + think_s;
    return client_.post_at(at(talk->intended_s), [this, self = shared_from_this(), talk] {
      if (!stopping_) return send(talk);
      --live_;
      check_over();
    });
  }
  if (schedule_.kind != Schedule::Kind::kClosed || !more()) {
    --live_;
    return;
  }
  if (ok) {
    --live_;
    return next_user();
  }
  const double rest_s =
      record.retry_after_s >= 0 ? std::min(record.retry_after_s, kMaxRetryRest_s) : kFailureRest_s;
  client_.post_at(at(record.end_s + rest_s), [this, self = shared_from_this()] {
    --live_;
    next_user();
    check_over();
  });
}

void Phase::check_over() {
  if (stopping_ ? !in_flight_.empty() : live_ > 0 || arriving_) return;
  MutexLock lock(mutex_);
  over_ = true;
  changed_.notify_all();
}

bool Phase::wait(const LoadRunner::OnProgress& on_progress, bool warming_up) {
  const TimePoint begun = SteadyClock::now();
  bool going = true;
  while (true) {
    RunProgress progress;
    {
      MutexLock lock(mutex_);
      if (!over_) changed_.wait_for(mutex_, kProgressEvery);
      if (over_) break;
      progress = progress_;
    }
    progress.warming_up = warming_up;
    progress.elapsed_s = std::chrono::duration<double>(SteadyClock::now() - begun).count();
    if (going && !on_progress(progress)) {
      going = false;
      stop();
    }
  }
  return going;
}

}  // namespace

Status check_schedule(const Schedule& s, const ops::Dataset* dataset) {
  if (s.kind != Schedule::Kind::kTrace && s.requests == 0 && s.duration_s <= 0)
    return make_error(ErrorCode::kUsage, "the run has no end: give --requests or --duration");
  if (s.duration_s > 0 && s.warmup_s >= s.duration_s) {
    return make_error(ErrorCode::kUsage, "--warmup of {} s leaves nothing of a --duration of {} s",
                      s.warmup_s, s.duration_s);
  }
  const bool rows = s.kind == Schedule::Kind::kTrace;
  if (rows && s.warmup_requests >= dataset->rows.size()) {
    return make_error(ErrorCode::kUsage, "--warmup of {} requests leaves nothing of {} rows",
                      s.warmup_requests, dataset->rows.size());
  }
  return {};
}

Result<LoadRun> LoadRunner::run(const Schedule& schedule, const OnProgress& on_progress) {
  WEIR_TRY(check_schedule(schedule, workload_.dataset()));
  uint64_t end_index = UINT64_MAX;
  if (schedule.kind == Schedule::Kind::kTrace) {  // from its first row again
    const uint64_t rows = workload_.dataset()->rows.size();
    next_index_ = (next_index_ + rows - 1) / rows * rows;
    end_index = next_index_ + rows;
  }
  const auto start_phase = [&](const Schedule& s) {
    auto phase = std::make_shared<Phase>(client_, target_, shape_, workload_, words_, s,
                                         next_index_, end_index);
    phase->start();
    return phase;
  };
  bool going = true;
  if (schedule.warmup_requests > 0) {
    Schedule warmup;
    warmup.kind = Schedule::Kind::kClosed;
    warmup.concurrency =
        schedule.kind == Schedule::Kind::kClosed ? schedule.concurrency : kWarmupConcurrency;
    warmup.requests = schedule.warmup_requests;
    const auto phase = start_phase(warmup);
    going = phase->wait(on_progress, true);
    next_index_ = phase->next_index();
  }
  LoadRun run;
  run.label = schedule.label();
  if (schedule.kind == Schedule::Kind::kClosed) run.concurrency = schedule.concurrency;
  if (schedule.kind == Schedule::Kind::kOpen) run.offered_per_s = schedule.arrivals.rate_per_s;
  if (schedule.kind == Schedule::Kind::kTrace)
    run.offered_per_s = ops::mean_rate(*workload_.dataset()) / schedule.time_scale;
  if (!going) return run;
  const auto phase = start_phase(schedule);
  if (!phase->wait(on_progress, false)) run.settings["ended"] = "interrupted";
  if (phase->full()) run.settings["ended"] = "the records reached their bound in memory";
  next_index_ = phase->next_index();
  run.requests = phase->take_records();
  run.duration_s = phase->end_s();
  finish(schedule, run);
  return run;
}

// In order, without the requests of the warm-up, and with times from its end.
void LoadRunner::finish(const Schedule& schedule, LoadRun& run) {
  std::erase_if(run.requests,
                [&](const RequestRecord& r) { return r.intended_s < schedule.warmup_s; });
  std::stable_sort(run.requests.begin(), run.requests.end(),
                   [](const auto& a, const auto& b) { return a.intended_s < b.intended_s; });
  for (RequestRecord& r : run.requests) {
    for (double* s : {&r.intended_s, &r.sent_s, &r.first_token_s, &r.end_s}) {
      if (*s >= 0) *s -= schedule.warmup_s;
    }
  }
  run.duration_s = std::max(0.0, run.duration_s - schedule.warmup_s);
}

std::string Schedule::label() const {
  switch (kind) {
    case Kind::kOpen:
      return fmt::format("rate {:g}", arrivals.rate_per_s);
    case Kind::kTrace:
      return time_scale == 1 ? "trace" : fmt::format("trace, times x {:g}", time_scale);
    case Kind::kClosed:
      break;
  }
  return fmt::format("concurrency {}", concurrency);
}

}  // namespace weir::bench
