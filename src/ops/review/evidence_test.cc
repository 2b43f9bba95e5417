// Reports, policies, models and times as they are read.
#include "ops/review/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "ops/release/sha256.h"
#include "ops/review/candidate.h"
#include "ops/review/policy.h"
#include "ops/sources/days.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

std::string load_report() {
  return R"({"schema":"weir.bench.load/1","created":"2026-11-30T12:00:00Z","subject":{"env":"stage",)"
         R"("model_sha256":"a","config_sha256":"c","numerics_sha256":"n","replicas":2},"runs":[{)"
         R"("label":"4/s","offered_per_s":4,"concurrency":0,"requests":10,"ok":9,"refused":1,"failed":0,)"
         R"("prompt_tokens":90,"output_tokens":9,"requests_per_s":{"value":3.5},"peak_in_flight":3,)"
         R"("ttft_ms":{"p95":{"value":12.5}},"itl_ms":{"p95":{"value":null}},)"
         R"("e2e_ms":{"p99":{"value":99}},"refusal_ms":{"p95":{"value":1}}}]})";
}

TEST(Evidence, ALoadReport) {
  const auto e = parse_evidence(load_report(), "load.json");
  ASSERT_TRUE(e.ok() && *e) << e.error().message;
  EXPECT_EQ((*e)->kind, EvidenceKind::kLoad);
  EXPECT_EQ((*e)->subject.replicas, 2);
  ASSERT_EQ((*e)->runs.size(), 1u);
  const LoadRunEvidence& run = (*e)->runs[0];
  EXPECT_EQ(run.ok_per_s, 3.5);
  EXPECT_EQ(run.ttft_p95_ms, 12.5);
  EXPECT_TRUE(std::isnan(run.itl_p95_ms));
  EXPECT_EQ(time_of((*e)->created_s), "2026-11-30T12:00:00Z");
}

TEST(Evidence, AGate) {
  const auto e =
      parse_evidence(R"({"schema":"weir.eval.compare/1","created":"2026-11-30T12:00:00Z",)"
                     R"("verdict":"pass","base":"b"})",
                     "gate.json");
  ASSERT_TRUE(e.ok() && *e) << e.error().message;
  EXPECT_EQ((*e)->verdict, "pass");
  EXPECT_EQ((*e)->subject.model_sha256, "");
}

TEST(Evidence, WhatIsNoneAndWhatIsBroken) {
  EXPECT_FALSE(parse_evidence("{}", "x").value().has_value());
  EXPECT_FALSE(parse_evidence(R"({"schema":"weir.plan/1"})", "x").value().has_value());
  EXPECT_THAT(parse_evidence("{", "x.json").error().message, HasSubstr("x.json: "));
  const std::string text = load_report();
  for (size_t n = 0; n < text.size(); ++n)
    EXPECT_FALSE(parse_evidence(text.substr(0, n), "x").ok());
  for (const auto& [from, to] : {std::pair("\"ok\":9", "\"ok\":8"),
                                 {"\"ok\":9", "\"ok\":-9"},
                                 {"\"ok\":9", "\"ok\":9.5"},
                                 {"\"label\":\"4/s\",", ""},
                                 {"2026-11-30T12", "2026-11-31T12"},
                                 {"\"requests\":10", "\"requests\":1e99"},
                                 {"\"p95\":{\"value\":12.5}", "\"p50\":1"}}) {
    std::string bad = text;
    bad.replace(bad.find(from), std::string(from).size(), to);
    EXPECT_THAT(parse_evidence(bad, "x.json").error().message, HasSubstr("x.json: ")) << to;
  }
}

TEST(Evidence, SaysWhatWasServedAndKeepsItsBytes) {
  std::string text = load_report();
  text.insert(1, R"("settings":{"model":"org/x"},)");
  const auto e = parse_evidence(text, "load.json");
  ASSERT_TRUE(e.ok() && *e) << e.error().message;
  EXPECT_EQ((*e)->model, "org/x");
  EXPECT_EQ((*e)->text, text);
}

TEST(Policy, ReadsAndRefuses) {
  const auto p = parse_policy(
      "retries: {max_attempts: 2, budget_share: 0.1}\ncaches: [{name: a, key: k, ttl_s: 5}]\n",
      "p");
  ASSERT_TRUE(p.ok()) << p.error().message;
  EXPECT_EQ(p->retries->max_attempts, 2);
  EXPECT_EQ(p->cache("a")->ttl_s, 5);
  EXPECT_EQ(p->cache("b"), nullptr);
  const auto problem = [](const char* text) { return parse_policy(text, "p").error().message; };
  EXPECT_THAT(problem("retries: {budget_share: 0.1}"), HasSubstr("need max_attempts"));
  EXPECT_THAT(problem("retries: {max_attempts: 3}"), HasSubstr("need budget_share"));
  EXPECT_THAT(problem("caches: [{name: a, key: k}]"), HasSubstr("ttl_s or flush"));
  EXPECT_THAT(problem("caches: [{name: a, key: k, ttl_s: 5}, {name: a, key: k, ttl_s: 5}]"),
              HasSubstr("stands twice"));
  EXPECT_THAT(problem("x: 1"), HasSubstr("unknown key"));
  EXPECT_TRUE(parse_policy("retries: {max_attempts: 1}", "p").ok()) << "no retries, no budget";
}

TEST(Days, OfTexts) {
  EXPECT_EQ(unix_of_day("1970-01-02"), 86'400);
  EXPECT_EQ(unix_of_time("2026-11-30T00:00:01Z"), *unix_of_day("2026-11-30") + 1);
  for (const char* bad : {"", "2026-13-01", "2026-02-29", "2026-1-01", "2026/01/01", "x026-01-01"})
    EXPECT_FALSE(unix_of_day(bad).has_value()) << bad;
  for (const char* bad : {"2026-11-30", "2026-11-30T24:00:00Z", "2026-11-30T12:00:00+01:00"})
    EXPECT_FALSE(unix_of_time(bad).has_value()) << bad;
  EXPECT_EQ(time_of(0), "1970-01-01T00:00:00Z");
}

TEST(Candidate, HashesWhatIsConfiguration) {
  const os::TempDir dir;
  const Project project = Project::init(dir.file("p")).value();
  const std::string env = project.environment("dev");
  std::ofstream(env + "/serve.sh") << "vllm serve x --max-num-queued-reqs 4\n";
  const auto before = read_candidate(project, "dev", nullptr);
  ASSERT_TRUE(before.ok()) << before.error().message;
  EXPECT_EQ(before->files.size(), 1u) << ".gitkeep is none";
  std::ofstream(env + "/release.json.tmp-77-0") << "{}";
  const auto killed = read_candidate(project, "dev", nullptr);
  EXPECT_EQ(killed->config_sha256, before->config_sha256) << "what a kill left is none";
  std::ofstream(env + "/.env") << "TAG=v0.33.0\n";
  const auto variables = read_candidate(project, "dev", nullptr);
  EXPECT_EQ(variables->files.size(), 2u);
  EXPECT_NE(variables->config_sha256, before->config_sha256) << "Compose reads it";
  std::filesystem::remove(env + "/.env");
  EXPECT_THAT(before->config.numerics(), HasSubstr("vllm "));
  std::ofstream(dir.file("m.gguf")) << "model";
  const auto model = model_of(project, dir.file("m.gguf"));
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->sha256, sha256_hex("model"));
  std::ofstream(env + "/model.json") << model_text(*model);
  const auto with = read_candidate(project, "dev", nullptr);
  ASSERT_TRUE(with.ok());
  EXPECT_EQ(with->config_sha256, before->config_sha256) << "the model has its own hash";
  EXPECT_EQ(with->model.sha256, model->sha256);
  std::ofstream(env + "/serve.sh") << "vllm serve x --max-num-queued-reqs 5\n";
  EXPECT_NE(read_candidate(project, "dev", nullptr)->config_sha256, before->config_sha256);
  std::ofstream(env + "/model.json") << "{}";
  EXPECT_THAT(read_candidate(project, "dev", nullptr).error().message, HasSubstr("model.json"));
  EXPECT_THAT(model_of(project, "Qwen/Qwen3@main").error().message, HasSubstr("40 digits"));
  EXPECT_EQ(model_of(project, "Qwen/Qwen3@" + std::string(40, 'a'))->bytes, 0u);
}

}  // namespace
}  // namespace weir::ops
