#include "bench/report/summary.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <tuple>

#include "bench/report/bootstrap.h"
#include "bench/report/steady.h"
#include "bench/report/timeline.h"
#include "text/utf8.h"

namespace weir::bench {
namespace {

// Bins of the rates' intervals.
constexpr size_t kRateBins = 100;
constexpr size_t kMaxClassesKept = 1024;  // while counting; then the most frequent are listed
constexpr size_t kMaxSettings = 256;
constexpr size_t kMaxTextBytes = 4096;

constexpr std::pair<Outcome, const char*> kOutcomes[] = {{Outcome::kOk, "ok"},
                                                         {Outcome::kRejected, "rejected"},
                                                         {Outcome::kClientError, "client_error"},
                                                         {Outcome::kServerError, "server_error"},
                                                         {Outcome::kTimeout, "timeout"},
                                                         {Outcome::kConnection, "connection"},
                                                         {Outcome::kBadResponse, "bad_response"}};

// Well-formed UTF-8 of at most `bytes` bytes.
std::string clean(std::string_view s, size_t bytes) {
  std::string_view kept = s.substr(0, bytes);
  if (kept.size() < s.size()) {
    // A character cut in two goes whole.
    for (int i = 0; i < 3 && !kept.empty() && !text::is_valid_utf8(kept); ++i)
      kept.remove_suffix(1);
    if (!text::is_valid_utf8(kept)) kept = s.substr(0, bytes);
  }
  return text::replace_invalid_utf8(kept);
}

// One pass over the requests that count, into samples and sums.
class Summarizer {
 public:
  Summarizer(const LoadRun& run, const Slo& slo, const SummaryOptions& options)
      : run_(run), options_(options), steady_(find_steady(run)) {
    s_.slo = slo;
    const bool cut = options.steady_only && steady_.found;
    window_ = cut ? steady_.window : Window{0, run.duration_s};
  }

  LoadSummary make() {
    head();
    count();
    rates();
    group_requests();
    spread();
    list_errors();
    pick_samples();
    s_.timeline = make_timeline(run_);
    s_.peak_output_tokens_per_s = peak_tokens_per_s(run_);
    s_.peak_in_flight = peak_in_flight(run_);
    return std::move(s_);
  }

 private:
  bool counts(const RequestRecord& r) const {
    return !(options_.steady_only && steady_.found) || window_.holds(r.intended_s);
  }

  void head() {
    s_.label = clean(run_.label, kMaxTextBytes);
    for (const auto& [key, value] : run_.settings) {
      if (s_.settings.size() < kMaxSettings)
        s_.settings[clean(key, kMaxTextBytes)] = clean(value, kMaxTextBytes);
    }
    s_.offered_per_s = run_.offered_per_s;
    s_.concurrency = run_.concurrency;
    s_.duration_s = window_.length_s();
  }

  void count() {
    for (const RequestRecord& r : run_.requests) {
      if (!counts(r)) continue;
      ++s_.requests;
      const SloBreaks b = slo_breaks(r, s_.slo);
      s_.goodput.not_ok += b.not_ok;
      s_.goodput.broke_ttft += b.ttft;
      s_.goodput.broke_itl += b.itl;
      s_.goodput.broke_tpot += b.tpot;
      s_.goodput.broke_e2e += b.e2e;
      good_requests_ += !b.any();
      if (r.outcome != Outcome::kOk) {
        (r.outcome == Outcome::kRejected ? s_.refused : s_.failed) += 1;
        note_error(r);
        continue;
      }
      ++s_.ok;
      s_.prompt_tokens += r.prompt_tokens;
      s_.output_tokens += r.output_tokens;
      s_.cached_tokens += r.cached_tokens;
    }
    if (s_.prompt_tokens > 0) {
      s_.cached_share =
          static_cast<double>(s_.cached_tokens) / static_cast<double>(s_.prompt_tokens);
    }
  }

  void note_error(const RequestRecord& r) {
    const double end = r.end_s < 0 ? run_.duration_s : r.end_s;
    auto key = std::make_tuple(r.outcome, r.status, clean(r.error, LoadSummary::kMaxErrorBytes));
    const auto found = classes_.find(key);
    if (found != classes_.end()) {
      ++found->second.count;
      found->second.first_s = std::min(found->second.first_s, end);
    } else if (classes_.size() < kMaxClassesKept) {
      ErrorClass c{r.outcome, r.status, std::get<2>(key), 1, end};
      classes_.emplace(std::move(key), std::move(c));
    } else {
      ++s_.errors_not_listed;
    }
  }

  void list_errors() {
    for (auto& [key, c] : classes_) s_.errors.push_back(std::move(c));
    std::stable_sort(s_.errors.begin(), s_.errors.end(),
                     [](const ErrorClass& a, const ErrorClass& b) { return a.count > b.count; });
    while (s_.errors.size() > LoadSummary::kMaxErrorClasses) {
      s_.errors_not_listed += s_.errors.back().count;
      s_.errors.pop_back();
    }
  }

  // What the run did per second, over the window.
  void rates() {
    if (!(window_.length_s() > 0)) return;
    Bins ends(window_, kRateBins), output(window_, kRateBins), prompt(window_, kRateBins),
        total(window_, kRateBins), good(window_, kRateBins), good_output(window_, kRateBins),
        busy(window_, 1);
    for (const RequestRecord& r : run_.requests) {
      busy.add_span(r.sent_s, r.end_s < 0 ? run_.duration_s : r.end_s, 1);
      if (r.outcome != Outcome::kOk) continue;
      const bool is_good = meets(r, s_.slo);
      ends.add(r.end_s, 1);
      if (is_good) good.add(r.end_s, 1);
      // Prompt tokens are done when the first output comes.
      const double prefilled = r.first_token_s < 0 ? r.end_s : r.first_token_s;
      prompt.add(prefilled, r.prompt_tokens);
      total.add(prefilled, r.prompt_tokens);
      for_each_piece(r, [&](double at, double n) {
        // Rounding of gaps (float) may put the last piece behind the end of the run.
        at = std::min(at, run_.duration_s);
        output.add(at, n);
        total.add(at, n);
        if (is_good) good_output.add(at, n);
      });
    }
    const double per_s = 1 / output.width_s();
    s_.requests_per_s = estimate_mean(ends.sums(), per_s, options_);
    s_.output_tokens_per_s = estimate_mean(output.sums(), per_s, options_);
    s_.prompt_tokens_per_s = estimate_mean(prompt.sums(), per_s, options_);
    s_.total_tokens_per_s = estimate_mean(total.sums(), per_s, options_);
    s_.goodput.requests_per_s = estimate_mean(good.sums(), per_s, options_);
    s_.goodput.output_tokens_per_s = estimate_mean(good_output.sums(), per_s, options_);
    s_.mean_in_flight = busy.per_s().front();
    s_.goodput.share = estimate_share(good_requests_, s_.requests);
    s_.goodput.met = s_.requests > 0 && s_.goodput.share.value >= s_.slo.share;
  }

  // The groups with most requests, and which of them a request is of.
  void group_requests() {
    std::map<int32_t, int64_t> sizes;
    for (const RequestRecord& r : run_.requests) {
      if (counts(r) && r.group >= 0) ++sizes[r.group];
    }
    std::vector<std::pair<int64_t, int32_t>> by_size;
    by_size.reserve(sizes.size());
    for (const auto& [group, n] : sizes) by_size.emplace_back(-n, group);
    std::sort(by_size.begin(), by_size.end());
    if (by_size.size() > LoadSummary::kMaxGroups) by_size.resize(LoadSummary::kMaxGroups);
    for (const auto& [n, group] : by_size) s_.groups.emplace_back().group = group;
    std::sort(s_.groups.begin(), s_.groups.end(),
              [](const GroupSummary& a, const GroupSummary& b) { return a.group < b.group; });
    for (size_t i = 0; i < s_.groups.size(); ++i) group_index_[s_.groups[i].group] = i;
    std::vector<int64_t> good(s_.groups.size());
    for (const RequestRecord& r : run_.requests) {
      const auto found = group_index_.find(r.group);
      if (!counts(r) || found == group_index_.end()) continue;
      GroupSummary& g = s_.groups[found->second];
      ++g.requests;
      g.ok += r.outcome == Outcome::kOk;
      g.refused += r.outcome == Outcome::kRejected;
      if (r.outcome == Outcome::kOk && window_.length_s() > 0)
        g.output_tokens_per_s += r.output_tokens / window_.length_s();
      good[found->second] += meets(r, s_.slo);
    }
    for (size_t i = 0; i < s_.groups.size(); ++i)
      s_.groups[i].slo_share =
          static_cast<double>(good[i]) / static_cast<double>(s_.groups[i].requests);
  }

  // All distributions with their intervals, from the same replicates.
  void spread() {
    enum { kTtft, kItl, kTpot, kE2e, kQueue, kDelay, kRefusal, kRetry, kSteadyTtft, kSteadyItl };
    Distribution steady_ttft;
    Distribution steady_itl;
    Distribution* const outs[] = {
        &s_.ttft_ms,       &s_.itl_ms,     &s_.tpot_ms,       &s_.e2e_ms,   &s_.queue_ms,
        &s_.send_delay_ms, &s_.refusal_ms, &s_.retry_after_s, &steady_ttft, &steady_itl};
    std::vector<EstimateTarget> targets;
    for (Distribution* out : outs) targets.emplace_back().out = out;
    const size_t first_group = targets.size();
    for (GroupSummary& g : s_.groups) targets.emplace_back().out = &g.ttft_ms;
    const auto put = [&](size_t target, double value, size_t unit) {
      targets[target].sample.add(value, unit);
    };
    for (size_t i = 0; i < run_.requests.size(); ++i) {
      const RequestRecord& r = run_.requests[i];
      const bool is_steady = steady_.found && steady_.window.holds(r.intended_s);
      if (is_steady) ++s_.steady.requests;
      if (!counts(r)) continue;
      put(kDelay, std::max(0.0, r.sent_s - r.intended_s) * 1e3, i);
      if (r.outcome == Outcome::kRejected) {
        if (r.end_s >= 0) put(kRefusal, (r.end_s - r.sent_s) * 1e3, i);
        if (r.retry_after_s >= 0) put(kRetry, r.retry_after_s, i);
      }
      if (r.outcome != Outcome::kOk) continue;
      put(kE2e, r.e2e_s() * 1e3, i);
      if (const double tpot = tpot_ms(r); tpot >= 0) put(kTpot, tpot, i);
      if (r.queue_ms >= 0) put(kQueue, r.queue_ms, i);
      for (const float gap : r.gaps_ms) {
        put(kItl, static_cast<double>(gap), i);
        if (is_steady) put(kSteadyItl, static_cast<double>(gap), i);
      }
      if (r.first_token_s < 0) continue;
      put(kTtft, r.ttft_s() * 1e3, i);
      if (is_steady) put(kSteadyTtft, r.ttft_s() * 1e3, i);
      if (const auto g = group_index_.find(r.group); g != group_index_.end())
        put(first_group + g->second, r.ttft_s() * 1e3, i);
    }
    for (EstimateTarget& t : targets) t.sample.seal();
    estimate(targets, run_.requests.size(), options_);
    describe_steady(steady_ttft, steady_itl);
  }

  void describe_steady(const Distribution& ttft, const Distribution& itl) {
    SteadyState& out = s_.steady;
    out.found = steady_.found;
    out.how = steady_.how;
    if (!steady_.found) return;
    out.begin_s = steady_.window.begin_s;
    out.end_s = steady_.window.end_s;
    out.ttft_p50_ms = ttft.p50();
    out.ttft_p95_ms = ttft.p95();
    out.itl_p50_ms = itl.p50();
    out.itl_p95_ms = itl.p95();
    Bins output(steady_.window, kRateBins);
    for (const RequestRecord& r : run_.requests) {
      if (r.outcome == Outcome::kOk)
        for_each_piece(r, [&](double at, double n) { output.add(at, n); });
    }
    out.output_tokens_per_s = estimate_mean(output.sums(), 1 / output.width_s(), options_);
  }

  void pick_samples() {
    std::vector<const RequestRecord*> all;
    for (const RequestRecord& r : run_.requests) {
      if (counts(r)) all.push_back(&r);
    }
    const size_t count = std::min(all.size(), LoadSummary::kMaxSamples);
    const size_t first = (all.size() - count) / 2;
    for (size_t i = first; i < first + count; ++i) {
      const RequestRecord& r = *all[i];
      s_.samples.push_back({r.intended_s, r.sent_s, r.first_token_s,
                            r.end_s < 0 ? run_.duration_s : r.end_s, r.queue_ms, r.prompt_tokens,
                            r.output_tokens, r.cached_tokens, r.outcome});
    }
  }

  const LoadRun& run_;
  const SummaryOptions& options_;
  const SteadyWindow steady_;
  Window window_;
  LoadSummary s_;
  int64_t good_requests_ = 0;
  std::map<std::tuple<Outcome, int32_t, std::string>, ErrorClass> classes_;
  std::map<int32_t, size_t> group_index_;
};

}  // namespace

LoadSummary summarize(const LoadRun& run, const Slo& slo, const SummaryOptions& options) {
  return Summarizer(run, slo, options).make();
}

const char* outcome_name(Outcome outcome) {
  for (const auto& [value, name] : kOutcomes) {
    if (value == outcome) return name;
  }
  return "unknown";
}

bool outcome_from_name(std::string_view name, Outcome& out) {
  for (const auto& [value, text] : kOutcomes) {
    if (name == text) {
      out = value;
      return true;
    }
  }
  return false;
}

}  // namespace weir::bench
