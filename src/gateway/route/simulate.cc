#include "gateway/route/simulate.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <queue>

#include "base/quantile.h"
#include "base/rng.h"
#include "gateway/route/mix.h"
#include "gateway/route/prefix_index.h"
#include "text/json.h"

namespace weir::gateway {

using text::Json;

namespace {

constexpr uint32_t kBlockTokens = 512;               // Mooncake's
constexpr double kLastStepS = 3;                     // of times rounded to 3 s
constexpr int64_t kMaxTokens = int64_t{1} << 31;     // of a request
constexpr size_t kMaxTraceBlocks = size_t{1} << 26;  // 1 GiB

Result<int64_t> count_of(const Json& o, std::string_view key) {
  const Json* v = o.find(key);
  if (v == nullptr || !v->is_int() || v->as_int() < 0 || v->as_int() >= kMaxTokens) {
    return make_error(ErrorCode::kCorrupt, "{} is not an integer from 0 to {}", key,
                      kMaxTokens - 1);
  }
  return v->as_int();
}

Status add_request(const Json& o, RouteTrace& out) {
  TraceRequest r;
  WEIR_ASSIGN(const int64_t ms, count_of(o, "timestamp"));
  WEIR_ASSIGN(r.input_tokens, count_of(o, "input_length"));
  WEIR_ASSIGN(r.output_tokens, count_of(o, "output_length"));
  r.at_s = static_cast<double>(ms) * 1e-3;
  const Json* ids = o.find("hash_ids");
  if (ids == nullptr || !ids->is_array())
    return make_error(ErrorCode::kCorrupt, "hash_ids is not an array");
  if (out.blocks.size() + ids->size() > kMaxTraceBlocks)
    return make_error(ErrorCode::kLimit, "more than {} blocks of prompts", kMaxTraceBlocks);
  r.first_block = static_cast<uint32_t>(out.blocks.size());
  r.block_count = static_cast<uint32_t>(ids->size());
  int64_t end = 0;
  for (const Json& id : ids->items()) {
    if (!id.is_int()) return make_error(ErrorCode::kCorrupt, "hash_ids holds no integers");
    end = std::min(end + kBlockTokens, r.input_tokens);  // the last one may be partly filled
    out.blocks.push_back({mix64(static_cast<uint64_t>(id.as_int())), static_cast<uint32_t>(end)});
    if (out.blocks.size() - r.first_block <= 2) r.session = out.blocks.back().name;
  }
  if (!out.requests.empty() && r.at_s < out.requests.back().at_s)
    return make_error(ErrorCode::kCorrupt, "timestamp is before that of the line above");
  out.requests.push_back(r);
  return {};
}

// Requests of one time, evenly over the time until the next.
void spread_times(std::vector<TraceRequest>& requests) {
  for (size_t i = 0; i < requests.size();) {
    size_t end = i;
    while (end < requests.size() && requests[end].at_s == requests[i].at_s) ++end;
    const double start = requests[i].at_s;
    const double step =
        (end < requests.size() ? requests[end].at_s - start : kLastStepS) / double(end - i);
    for (size_t k = i; k < end; ++k) requests[k].at_s = start + step * double(k - i);
    i = end;
  }
}

// An upstream as it is, not as the gateway sees it.
struct Upstream {
  struct Prompt {
    double done_s = 0;
    int64_t tokens = 0;  // as the gateway counts them
  };
  std::deque<Prompt> prompts;  // waiting and the one that is being computed
  std::priority_queue<double, std::vector<double>, std::greater<>> streams;  // when they end
  double busy_until_s = 0;
  int64_t computed_tokens = 0;
};

class Simulation {
 public:
  Simulation(const RouteTrace& trace, const PickConfig& pick, const SimulationConfig& config)
      : trace_(trace),
        pick_(pick),
        config_(config),
        caches_({config.upstreams, trace.blocks.size() + 1}),
        index_({config.upstreams, trace.blocks.size() + 1}),
        upstreams_(config.upstreams),
        views_(config.upstreams),
        candidates_(config.upstreams),
        matched_(config.upstreams) {
    for (uint32_t i = 0; i < config.upstreams; ++i) {
      candidates_[i].endpoint = i;
      views_[i].identity = mix64(config.seed + i);
      caches_.set_capacity(i, config.cache_tokens);
      const int64_t believed = config.believed_cache_tokens;
      index_.set_capacity(i, believed < 0 ? config.cache_tokens : believed);
    }
    failover_.update({views_, 0, 0}, candidates_, 0);
  }

  SimulationResult run() {
    std::vector<double> ttft_s;
    ttft_s.reserve(trace_.requests.size());
    for (const TraceRequest& r : trace_.requests) {
      const double now_s = r.at_s / config_.speed;
      advance(now_s);
      ttft_s.push_back(serve(r, choose(r), now_s));
      ++turn_;
    }
    std::sort(ttft_s.begin(), ttft_s.end());
    SimulationResult out;
    out.hit_rate = all_tokens_ > 0 ? double(hit_tokens_) / double(all_tokens_) : 0;
    out.ttft_p50_s = sorted_quantile(ttft_s, 0.5);
    out.ttft_p90_s = sorted_quantile(ttft_s, 0.9);
    out.ttft_p99_s = sorted_quantile(ttft_s, 0.99);
    int64_t most = 0;
    for (const Upstream& u : upstreams_) most = std::max(most, u.computed_tokens);
    const int64_t computed = all_tokens_ - hit_tokens_;
    out.max_over_mean =
        computed > 0 ? double(most) * double(upstreams_.size()) / double(computed) : 0;
    return out;
  }

 private:
  // What has ended by now.
  void advance(double now_s) {
    for (size_t i = 0; i < upstreams_.size(); ++i) {
      Upstream& u = upstreams_[i];
      for (; !u.prompts.empty() && u.prompts.front().done_s <= now_s; u.prompts.pop_front())
        views_[i].queued_tokens -= u.prompts.front().tokens;
      for (; !u.streams.empty() && u.streams.top() <= now_s; u.streams.pop()) --views_[i].in_flight;
    }
  }

  uint32_t choose(const TraceRequest& r) {
    const auto blocks = trace_.blocks_of(r);
    index_.match(blocks, matched_);
    const std::string session = std::to_string(r.session);
    RequestView request;
    request.session = session;
    request.blocks = blocks;
    request.input_tokens = r.input_tokens;
    const PickInput input{.request = request,
                          .fleet = {views_, 0, 0},
                          .failover = failover_,
                          .matched_tokens = matched_,
                          .draw = random_u64(config_.seed, 0, turn_),
                          .turn = turn_};
    const uint32_t to = route(pick_, input, scratch_).endpoint[0];
    index_.touch(to, blocks);
    return to;
  }

  // Seconds to the first token.
  double serve(const TraceRequest& r, uint32_t to, double now_s) {
    const auto blocks = trace_.blocks_of(r);
    const int64_t expected = std::max<int64_t>(r.input_tokens - matched_[to], 1);
    caches_.match(blocks, matched_);
    caches_.touch(to, blocks);
    // The last token of a prompt is always computed: its logits are wanted.
    const int64_t hit =
        std::clamp<int64_t>(matched_[to], 0, std::max<int64_t>(r.input_tokens - 1, 0));
    Upstream& u = upstreams_[to];
    const double speed =
        config_.prefill_tokens_per_s *
        std::max(config_.least_prefill, 1 - config_.stream_cost * double(u.streams.size()));
    const double done_s = std::max(now_s, u.busy_until_s) + config_.overhead_ms * 1e-3 +
                          double(r.input_tokens - hit) / speed;
    u.busy_until_s = done_s;
    u.computed_tokens += r.input_tokens - hit;
    u.prompts.push_back({done_s, expected});
    u.streams.push(done_s + double(r.output_tokens) * config_.itl_ms * 1e-3);
    views_[to].queued_tokens += expected;
    ++views_[to].in_flight;
    hit_tokens_ += hit;
    all_tokens_ += r.input_tokens;
    return done_s - now_s;
  }

  const RouteTrace& trace_;
  const PickConfig& pick_;
  const SimulationConfig& config_;
  PrefixIndex caches_;  // what the upstreams hold
  PrefixIndex index_;   // what the gateway believes
  Failover failover_{{}};
  std::vector<Upstream> upstreams_;
  std::vector<EndpointView> views_;
  std::vector<Candidate> candidates_;
  std::vector<uint32_t> matched_;
  PickScratch scratch_;
  uint64_t turn_ = 0;
  int64_t hit_tokens_ = 0;
  int64_t all_tokens_ = 0;
};

}  // namespace

Result<RouteTrace> parse_mooncake(std::string_view text, size_t max_requests) {
  RouteTrace out;
  for (size_t number = 1; !text.empty() && out.requests.size() < max_requests; ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const Result<Json> o = Json::parse(line);
    if (!o.ok()) return o.error().with_context(fmt::format("line {}", number));
    const Status ok = add_request(*o, out);
    if (!ok.ok()) return ok.error().with_context(fmt::format("line {}", number));
  }
  if (out.requests.empty()) return make_error(ErrorCode::kCorrupt, "the trace has no requests");
  spread_times(out.requests);
  return out;
}

SimulationResult simulate(const RouteTrace& trace, const PickConfig& pick,
                          const SimulationConfig& config) {
  return Simulation(trace, pick, config).run();
}

std::vector<PolicyRow> compare_policies(const RouteTrace& trace, const PickConfig& pick,
                                        const SimulationConfig& config) {
  std::vector<PolicyRow> out;
  for (const PickPolicy policy :
       {PickPolicy::kRoundRobin, PickPolicy::kRandomTwo, PickPolicy::kLeastLoaded,
        PickPolicy::kCacheAware, PickPolicy::kSessionAffinity}) {
    PickConfig with = pick;
    with.policy = policy;
    out.push_back({policy, simulate(trace, with, config)});
  }
  return out;
}

std::string policy_table(std::span<const PolicyRow> rows) {
  std::string out =
      "| policy | hit rate | over round_robin | TTFT p50 s | p90 s | over round_robin | p99 s | "
      "busiest / mean |\n|---|---|---|---|---|---|---|---|\n";
  const auto base = std::find_if(rows.begin(), rows.end(), [](const PolicyRow& r) {
    return r.policy == PickPolicy::kRoundRobin;
  });
  const auto ratio = [](double a, double b) { return b > 0 ? fmt::format("{:.2f}", a / b) : "-"; };
  for (const PolicyRow& row : rows) {
    const SimulationResult& r = row.result;
    const SimulationResult& b = base == rows.end() ? r : base->result;
    out += fmt::format("| {} | {:.1f} % | {} | {:.2f} | {:.2f} | {} | {:.2f} | {:.2f} |\n",
                       pick_policy_name(row.policy), r.hit_rate * 100,
                       ratio(r.hit_rate, b.hit_rate), r.ttft_p50_s, r.ttft_p90_s,
                       ratio(r.ttft_p90_s, b.ttft_p90_s), r.ttft_p99_s, r.max_over_mean);
  }
  return out;
}

}  // namespace weir::gateway
