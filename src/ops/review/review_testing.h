// A project's facts with which every item of the checklist passes; tests break one of them.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "ops/review/review.h"
#include "ops/sources/days.h"

namespace weir::ops {

inline constexpr int64_t kTestNow = 1'796'000'000;  // 2026-11-30

inline const char* test_alerts() {
  return "groups:\n"
         "  - name: x\n"
         "    rules:\n"
         "      - {alert: Slow, expr: \"histogram_quantile(0.95, "
         "vllm:time_to_first_token_seconds_bucket) "
         "> 1\"}\n"
         "      - {alert: Failing, expr: \"rate(weir_http_requests_total{status=~'5..'}[5m]) > "
         "1\"}\n"
         "      - {alert: Waiting, expr: \"vllm:num_requests_waiting > 10\"}\n"
         "---\n"
         "scrape_configs: [{job_name: x}]\n";
}

inline std::vector<EnvFile> test_files() {
  return {{"policy.yaml",
           "version: 1\nretries: {max_attempts: 2, budget_share: 0.1}\n"
           "caches: [{name: snapshot, key: model, flush: restart}]\n"},
          {"prometheus/rules.yaml", test_alerts()},
          {"vllm/serve.sh",
           "vllm serve /models/x --host 127.0.0.1 --max-num-queued-reqs 64 --max-num-seqs 32\n"}};
}

inline LoadRunEvidence test_run(double rate) {
  LoadRunEvidence run;
  run.label = "r";
  run.offered_per_s = rate;
  run.requests = 400;
  run.ok = 400;
  run.prompt_tokens = 400 * 500;
  run.output_tokens = 400 * 100;
  run.ok_per_s = rate;
  run.peak_in_flight = 12;
  run.ttft_p95_ms = 200;
  run.itl_p95_ms = 20;
  run.e2e_p99_ms = 4000;
  return run;
}

inline void give_test_files(ReviewInput& in, std::vector<EnvFile> files) {
  in.candidate.files = std::move(files);
  in.candidate.config = read_env_config(in.candidate.files);
}

inline Evidence test_evidence(const ReviewInput& in, const std::string& file, EvidenceKind kind) {
  Evidence e;
  e.file = file;
  e.kind = kind;
  e.created_s = in.now_s - kDayS;
  e.subject = in.candidate.subject(1);
  e.model = "x";
  e.text = "{}";
  return e;
}

inline AuditRow test_row(const char* action, const std::string& details, int64_t seq) {
  AuditRow row;
  row.seq = seq;
  row.unix_s = kTestNow - 3600;
  row.action = action;
  row.env = "stage";
  row.release = std::string(64, 'd');
  row.details = details;
  return row;
}

// from: the release that was in effect; test_row's is "d".
inline std::string test_drill(bool model_checked, const std::string& from) {
  return "{\"from\":\"" + std::string(64, from[0]) +
         "\",\"files\":3,\"model_checked\":" + (model_checked ? "true" : "false") +
         ",\"model_bytes\":5,\"seconds\":2}";
}

inline Intake test_intake() {
  Intake intake;
  for (const IntakeField& f : intake_fields()) {
    if (!f.required) continue;
    const auto& choices = f.key.spec.choices;
    const std::string value = f.key.type == config::Type::kBool   ? "true"
                              : !choices.empty()                  ? std::string(choices.back())
                              : f.key.type == config::Type::kText ? "x"
                              : f.key.spec.min > 1                ? std::to_string(f.key.spec.min)
                                                                  : "1";
    (void)intake.set_text(f.key.path, value, Origin::kGiven, "test");
  }
  for (const auto& [path, value] : {std::pair("traffic.prompt_tokens_p50", "500"),
                                    {"traffic.output_tokens_p50", "100"},
                                    {"traffic.requests_per_s", "4"},
                                    {"traffic.concurrency", "16"},
                                    {"slo.ttft_ms_p95", "500"},
                                    {"slo.itl_ms_p95", "50"},
                                    {"slo.total_ms_p99", "10000"},
                                    {"slo.error_budget", "0.01"},
                                    {"stack.replicas", "1"},
                                    {"model.precision", "int4"},
                                    {"constraints.rollback_minutes", "5"}})
    (void)intake.set_text(path, value, Origin::kGiven, "test");
  return intake;
}

inline ReviewInput passing_input() {
  ReviewInput in;
  in.env = "stage";
  in.now_s = kTestNow;
  in.max_age_days = 30;
  in.intake = test_intake();
  in.load = {4, 16, 1, "intake.yaml"};
  in.candidate.env = "stage";
  in.candidate.config_sha256 = std::string(64, 'c');
  in.candidate.model = {"m.gguf", "m.gguf", std::string(64, 'a'), 5};
  give_test_files(in, test_files());
  Evidence over = test_evidence(in, "over.json", EvidenceKind::kLoad);
  LoadRunEvidence run = test_run(12);
  run.ok = 200;
  run.refused = 200;
  run.ok_per_s = 6;
  run.prompt_tokens /= 2;
  run.output_tokens /= 2;
  run.refusal_p95_ms = 20;
  over.runs = {run};
  Evidence load = test_evidence(in, "load.json", EvidenceKind::kLoad);
  load.runs = {test_run(4)};
  Evidence gate = test_evidence(in, "gate.json", EvidenceKind::kGate);
  gate.verdict = "pass";
  gate.base = "base";
  in.evidence = {over, load, gate};
  in.log = {test_row(kActInEffect, "{}", 1), test_row(kActRehearsal, test_drill(true, "e"), 2)};
  return in;
}

inline const ReviewedItem& item_of(const Review& r, std::string_view id) {
  for (const ReviewedItem& i : r.items) {
    if (i.item->id == id) return i;
  }
  ADD_FAILURE() << id << " was not asked";
  return r.items.front();
}

}  // namespace weir::ops
