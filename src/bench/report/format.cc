#include "bench/report/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace weir::bench {
std::string interval_text(const Estimate& e) {
  if (std::isnan(e.low) && std::isnan(e.high)) return "";
  const auto end = [](double v) { return std::isnan(v) ? std::string("?") : number_text(v); };
  return end(e.low) + "–" + end(e.high);
}

std::vector<LatencyRow> latency_rows(const LoadSummary& run) {
  const LatencyRow all[] = {
      {"TTFT", "intended send to first output", &run.ttft_ms},
      {"ITL", "every gap between two pieces of output", &run.itl_ms},
      {"TPOT", "a request's mean time per token after the first", &run.tpot_ms},
      {"E2E", "intended send to end of answer", &run.e2e_ms},
      {"Queue", "wait in the server, as its server-timing says", &run.queue_ms},
      {"Refusal", "send to a refusal (429, 503)", &run.refusal_ms},
      {"Send lag", "actual minus intended send", &run.send_delay_ms}};
  std::vector<LatencyRow> out;
  for (const LatencyRow& row : all) {
    if (row.values->count > 0) out.push_back(row);
  }
  return out;
}

std::string slo_verdict(const LoadSummary& run) {
  if (!run.slo.any()) return "";
  return fmt::format(
      "{}: {} of requests within {} (wanted {})", run.goodput.met ? "SLO met" : "SLO missed",
      percent_text(run.goodput.share.value),
      [&] {
        std::string bounds = slo_text(run.slo);
        return bounds.substr(0, bounds.rfind(",share="));
      }(),
      percent_text(run.slo.share));
}

std::string load_text(const LoadSummary& run) {
  if (run.offered_per_s > 0)
    return fmt::format("open loop, {} requests/s", number_text(run.offered_per_s));
  if (run.concurrency > 0) return fmt::format("closed loop, {} at once", run.concurrency);
  return "replay";
}

std::string error_name(const ErrorClass& e) {
  std::string name = outcome_name(e.outcome);
  std::replace(name.begin(), name.end(), '_', ' ');
  return e.status > 0 ? fmt::format("{} {}", name, e.status) : name;
}

std::string report_title(const Report& report) {
  if (!report.title.empty()) return report.title;
  const auto model = report.settings.find("model");
  return model == report.settings.end() ? "Load test" : "Load test of " + model->second;
}

}  // namespace weir::bench
