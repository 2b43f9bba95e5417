#include "server/engine_observer.h"

namespace weir::server {
namespace {

static_assert(engine::kPhases == telemetry::kTracePhases);

const char* outcome_name(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kStop:
      return "stop";
    case engine::FinishReason::kLength:
      return "length";
    case engine::FinishReason::kCancelled:
      return "cancelled";
    case engine::FinishReason::kError:
      return "error";
  }
  return "";
}

}  // namespace

void EngineObserver::on_step(const engine::EngineStats& now, const engine::StepRecord& step) {
  metrics_.step_s.observe(now.last_step_ms * 1e-3);
  metrics_.batch_tokens.observe(now.last_step_tokens);
  metrics_.iteration_tokens.observe(now.last_step_tokens);
  metrics_.batch_sequences.observe(now.last_step_sequences);
  metrics_.prefill_tokens.add(step.prefill_tokens);
  metrics_.decode_tokens.add(step.decode_tokens);
  metrics_.tokens_per_s.set(now.tokens_per_s);
  for (size_t i = 0; i < step.phase_ns.size(); ++i)
    metrics_.step_phase_s[i].add(static_cast<double>(step.phase_ns[i]) * 1e-9);
  metrics_.preemptions.add(static_cast<double>(now.preemptions - preemptions_));
  metrics_.failed_steps.add(static_cast<double>(now.failed_steps - failed_steps_));
  preemptions_ = now.preemptions;
  failed_steps_ = now.failed_steps;
  metrics_.prefix_queries_tokens.add(
      static_cast<double>(now.prefix_queries_tokens - prefix_queries_tokens_));
  metrics_.prefix_hits_tokens.add(
      static_cast<double>(now.prefix_hits_tokens - prefix_hits_tokens_));
  metrics_.prefix_evictions.add(static_cast<double>(now.prefix_evictions - prefix_evictions_));
  metrics_.prefix_pages.set(now.prefix_pages);
  prefix_queries_tokens_ = now.prefix_queries_tokens;
  prefix_hits_tokens_ = now.prefix_hits_tokens;
  prefix_evictions_ = now.prefix_evictions;
  const uint64_t drafts = now.draft_tokens - drafts_;
  const uint64_t accepted = now.accepted_draft_tokens - accepted_drafts_;
  metrics_.draft_tokens.add(static_cast<double>(drafts));
  metrics_.accepted_draft_tokens.add(static_cast<double>(accepted));
  metrics_.rejected_draft_tokens.add(static_cast<double>(drafts - accepted));
  drafts_ = now.draft_tokens;
  accepted_drafts_ = now.accepted_draft_tokens;
  metrics_.tier_pages.set(now.tier_pages);
  metrics_.tier_hits.add(static_cast<double>(now.tier_hits_pages - tier_hits_pages_));
  tier_hits_pages_ = now.tier_hits_pages;

  telemetry::StepTrace t;
  t.start_ns = step.start_ns;
  t.end_ns = step.end_ns;
  t.phase_ns = step.phase_ns;
  t.sequences = static_cast<int32_t>(step.parts.size());
  t.prefill_tokens = step.prefill_tokens;
  t.decode_tokens = step.decode_tokens;
  t.preempted = step.preempted;
  t.used_pages = now.total_pages - now.free_pages;
  t.waiting_requests = now.waiting_sequences;
  parts_.clear();
  for (const engine::StepRecord::Part& p : step.parts)
    parts_.push_back({p.request, p.tokens, p.prefill});
  trace_.add_step(t, parts_);
}

void EngineObserver::on_request_end(const engine::RequestRecord& r) {
  telemetry::RequestTrace t;
  t.request = r.id;
  t.request_id = r.request_id;
  t.submitted_ns = r.submitted_ns;
  t.started_ns = r.started_ns;
  t.first_token_ns = r.first_token_ns;
  t.last_token_ns = r.last_token_ns;
  t.ended_ns = r.ended_ns;
  t.prompt_tokens = r.usage.prompt_tokens;
  t.completion_tokens = r.usage.completion_tokens;
  t.outcome = outcome_name(r.outcome);
  trace_.add_request(std::move(t));
}

}  // namespace weir::server
