// A project on the disk: the load that is planned, and that a release keeps what was judged.
#include "ops/review/review.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "ops/plan/plan_file.h"
#include "ops/review/promote.h"
#include "ops/review/review_testing.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

class ReviewOfAProject : public ::testing::Test {
 protected:
  void SetUp() override {
    project_ = Project::init(dir_.file("p")).value();
    write("intake.yaml", intake_yaml(test_intake()));
    for (const EnvFile& f : test_files()) {
      std::filesystem::create_directories(
          std::filesystem::path(project_->path("envs/dev/" + f.path)).parent_path());
      write("envs/dev/" + f.path, f.text);
    }
    write("m.gguf", "model");
    write("envs/dev/model.json", model_text(model_of(*project_, project_->path("m.gguf")).value()));
  }
  void write(const std::string& path, const std::string& text) {
    std::ofstream(project_->path(path)) << text;
  }
  ReviewInput input() {
    auto in = read_review_input(*project_, "dev", nullptr, kTestNow, true, built_in_checklist());
    EXPECT_TRUE(in.ok()) << in.error().message;
    return *std::move(in);
  }
  void write_plan(double rate_per_s) {
    PlanFile p;
    p.created = "2026-11-30";
    p.evidence_class = "hypothesis";
    p.model_source = p.model_name = "x";
    p.precision = "bf16";
    p.context_tokens = 4096;
    p.kv_type = "f16";
    p.accelerator = p.accelerator_name = "a";
    p.memory = {.device_gb = 80,
                .usable_gb = 72,
                .weights_gb = 17.6,
                .activations_gb = 2,
                .kv_gb = 52.4,
                .kv_bytes_per_token = 163840,
                .kv_tokens = 1'279'000,
                .fits = true};
    p.workload = {900, 6000, 250, 900, rate_per_s, 1.3, 0.3, 16384};
    p.replicas_low = 4;   // the optimistic end
    p.replicas_high = 6;  // the pessimistic one, which weir config writes
    p.spare = 1;
    write("plan.json", plan_file_json(p).dump());
  }

  os::TempDir dir_;
  std::optional<Project> project_;
};

TEST_F(ReviewOfAProject, ThePlannedLoadIsThatOfTheFleetThatIsWritten) {
  EXPECT_EQ(input().load.requests_per_s, 4);
  write_plan(20);
  PlannedLoad load = input().load;
  EXPECT_EQ(load.requests_per_s, 20);
  EXPECT_EQ(load.replicas, 5) << "as weir config writes, less the spare one";
  EXPECT_EQ(load.source, "plan.json");
  Intake busy = test_intake();
  ASSERT_TRUE(busy.set_text("traffic.requests_per_s_peak", "30", Origin::kGiven, "test").ok());
  write("intake.yaml", intake_yaml(busy));
  load = input().load;
  EXPECT_EQ(load.requests_per_s, 30) << "the peak";
  EXPECT_EQ(load.source, "plan.json, the rate of intake.yaml");
}

TEST_F(ReviewOfAProject, AReleaseKeepsTheBytesThatWereJudged) {
  const std::string waived =
      "waivers: [{item: slo, env: prod, who: me, why: x, until: 2026-12-31}]\n";
  write("waivers.yaml", waived);
  ReviewInput in = input();
  Evidence gate = test_evidence(in, "gate.json", EvidenceKind::kGate);
  gate.verdict = "pass";
  gate.text = "judged";
  in.evidence = {gate};
  const auto read = read_waivers(*project_, built_in_checklist());
  ASSERT_TRUE(read.ok()) << read.error().message;
  const WaiverFile& waivers = *read;
  const Review r = review(built_in_checklist(), in, waivers.waivers);
  ASSERT_TRUE(r.passed()) << review_text(r);
  write("intake.yaml", "changed");
  write("waivers.yaml", "changed");
  write("evidence/gate.json", "changed");
  const auto draft = draft_release(*project_, built_in_checklist(), in, r, waivers, "stage");
  ASSERT_TRUE(draft.ok()) << draft.error().message;
  EXPECT_THAT(draft->against, ::testing::IsEmpty());
  const auto file = [&](const std::string& path) -> std::string {
    for (const BundleFile& f : draft->files) {
      if (f.path == path) return f.contents;
    }
    return "missing";
  };
  EXPECT_EQ(file("evidence/gate.json"), "judged");
  EXPECT_EQ(file("intake.yaml"), intake_yaml(test_intake()));
  EXPECT_EQ(file("waivers.yaml"), waived);
}

TEST_F(ReviewOfAProject, OtherEnginesInTheTargetAreToldOnOneLine) {
  const ReviewInput in = input();
  const Review r = review(built_in_checklist(), in, {});
  write("envs/stage/serve.sh", "vllm serve x --dtype float16\nsglang serve y\n");
  const auto draft = draft_release(*project_, built_in_checklist(), in, r, {}, "stage");
  ASSERT_TRUE(draft.ok()) << draft.error().message;
  ASSERT_FALSE(draft->against.empty());
  const std::string& told = draft->against.back();
  EXPECT_THAT(told, HasSubstr("starts other engines"));
  EXPECT_EQ(told.find('\n'), std::string::npos) << told;
}

TEST_F(ReviewOfAProject, ALogThatIsGoneIsNoFreshStart) {
  const SigningKey key = SigningKey::make();
  write("envs/stage/release.json",
        pointer_text({"stage", std::string(64, 'a'), 1, std::string(64, 'b')}, key));
  const PublicKey pub = key.public_key();
  const auto in = read_review_input(*project_, "dev", &pub, kTestNow, true, built_in_checklist());
  ASSERT_TRUE(in.ok()) << in.error().message;
  ASSERT_FALSE(in->log_problems.empty());
  EXPECT_THAT(in->log_problems[0], HasSubstr("row 1: missing"));
}

}  // namespace
}  // namespace weir::ops
