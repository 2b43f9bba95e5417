// Hears of the engine's steps: turns them into metrics and into the trace of the recent past.
#pragma once

#include <vector>

#include "engine/engine.h"
#include "telemetry/engine_metrics.h"
#include "telemetry/trace_ring.h"

namespace weir::server {

// All calls on the engine thread. Both are borrowed.
class EngineObserver final : public engine::StepObserver {
 public:
  EngineObserver(telemetry::EngineMetrics& metrics, telemetry::TraceRing& trace)
      : metrics_(metrics), trace_(trace) {}

  void on_step(const engine::EngineStats& stats, const engine::StepRecord& step) override;
  void on_request_end(const engine::RequestRecord& request) override;

 private:
  telemetry::EngineMetrics& metrics_;
  telemetry::TraceRing& trace_;
  std::vector<telemetry::PartTrace> parts_;
  uint64_t preemptions_ = 0;
  uint64_t failed_steps_ = 0;
  uint64_t prefix_queries_tokens_ = 0;
  uint64_t prefix_hits_tokens_ = 0;
  uint64_t prefix_evictions_ = 0;
  uint64_t drafts_ = 0;
  uint64_t accepted_drafts_ = 0;
  uint64_t tier_hits_pages_ = 0;
};

}  // namespace weir::server
