// What a server measures itself with: made once for a server, passed to whoever feeds it.
#pragma once

#include <string>

#include "server/request_report.h"
#include "telemetry/engine_metrics.h"
#include "telemetry/gen_ai_metrics.h"
#include "telemetry/http_metrics.h"
#include "telemetry/metrics.h"
#include "telemetry/otlp_exporter.h"
#include "telemetry/process_metrics.h"
#include "telemetry/span.h"
#include "telemetry/trace_ring.h"

namespace weir::server {

struct Instruments {
  explicit Instruments(const std::string& model_name)
      : engine(registry, model_name),
        http(registry),
        process(registry),
        gen_ai(registry, model_name),
        otlp(registry) {}
  Instruments(const Instruments&) = delete;
  Instruments& operator=(const Instruments&) = delete;

  Reporting reporting() { return {engine, gen_ai, spans}; }

  telemetry::Registry registry;  // first: the handles point into it
  telemetry::EngineMetrics engine;
  telemetry::HttpMetrics http;
  telemetry::ProcessMetrics process;
  telemetry::GenAiMetrics gen_ai;
  telemetry::OtlpMetrics otlp;
  telemetry::TraceRing trace;
  telemetry::SpanSink* spans = nullptr;  // set before serving; null: nobody wants spans
};

}  // namespace weir::server
