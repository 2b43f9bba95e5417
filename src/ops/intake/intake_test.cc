#include "ops/intake/intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string error_of(std::string_view yaml) {
  const auto r = parse_intake(yaml, "intake.yaml");
  return r.ok() ? "" : r.error().message;
}

TEST(IntakeFields, EachHasAGroupAQuestionAndAnOwnPath) {
  std::set<std::string> paths;
  for (const IntakeField& f : intake_fields()) {
    EXPECT_TRUE(paths.insert(f.key.path).second) << f.key.path;
    EXPECT_FALSE(f.question.empty()) << f.key.path;
    const std::string group = f.key.path.substr(0, f.key.path.find('.'));
    EXPECT_TRUE(std::any_of(intake_groups().begin(), intake_groups().end(),
                            [&](const IntakeGroup& g) { return g.name == group; }))
        << f.key.path;
    EXPECT_EQ(f.required && group == "observed", false) << f.key.path;
  }
}

TEST(Intake, AFileReadsBackAsItWasWritten) {
  Intake intake;
  ASSERT_TRUE(intake.set_text("model.name", "a \"b\": #c", Origin::kGiven, "asked").ok());
  ASSERT_TRUE(intake.set_text("traffic.requests_per_s", "2.5", Origin::kMeasured, "t.csv").ok());
  ASSERT_TRUE(intake.set_text("traffic.streaming", "true", Origin::kInferred, "").ok());
  ASSERT_TRUE(intake.set_text("traffic.concurrency", "64", Origin::kGiven, "").ok());
  const std::string yaml = intake_yaml(intake);
  const auto back = parse_intake(yaml, "intake.yaml");
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->values(), intake.values());
  EXPECT_THAT(yaml,
              HasSubstr("ttft_ms_p95: {value: null, unit: \"ms\", origin: missing}  # Within"));
}

TEST(Intake, AnEmptyOneListsAllThatIsRequiredAndReadsBackEmpty) {
  const auto back = parse_intake(intake_yaml({}), "intake.yaml");
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_TRUE(back->values().empty());
  EXPECT_GT(back->missing().size(), 30U);
}

TEST(Intake, AValueFilledInByHandIsGiven) {
  const auto r = parse_intake(
      "traffic:\n  requests_per_s: {value: 3, unit: 1/s, origin: missing}\n  concurrency: 8\n",
      "f");
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(r->find("traffic.requests_per_s")->origin, Origin::kGiven);
  EXPECT_EQ(r->number("traffic.concurrency"), 8.0);
}

TEST(Intake, WrongFilesAreNamedWithLineAndRemedy) {
  EXPECT_THAT(error_of("slo:\n  ttft_ms_p9: 5\n"),
              HasSubstr("intake.yaml:2: there is no field \"slo.ttft_ms_p9\"; the nearest is "
                        "\"slo.ttft_ms_p95\""));
  EXPECT_THAT(error_of("traffic:\n  concurrency: 0\n"),
              HasSubstr("intake.yaml:2: traffic.concurrency must be an integer from 1 to"));
  EXPECT_THAT(error_of("slo:\n  ttft_ms_p95: {value: 1, unit: s}\n"), HasSubstr("is in ms, not s"));
  EXPECT_THAT(error_of("slo:\n  ttft_ms_p95: {value: 1, origin: guessed}\n"),
              HasSubstr("given, measured, inferred or missing, not \"guessed\""));
  EXPECT_THAT(error_of("slo:\n  ttft_ms_p95: {value: null, origin: measured}\n"),
              HasSubstr("is said to be measured and has no value"));
  EXPECT_THAT(error_of("slo:\n  ttft_ms_p95: {valu: 1}\n"), HasSubstr("has no \"valu\""));
  EXPECT_THAT(error_of("slo:\n  ttft_ms_p95: {value: 1, evidence: [a]}\n"),
              HasSubstr("slo.ttft_ms_p95.evidence must be a text"));
  EXPECT_THAT(error_of("sloo:\n  a: 1\n"), HasSubstr("there is no group \"sloo\""));
  EXPECT_THAT(error_of("slo: 3\n"), HasSubstr("slo must be a map of fields"));
  EXPECT_THAT(error_of("- 1\n"), HasSubstr("must be a map of groups"));
  EXPECT_THAT(error_of("version: 2\n"), HasSubstr("version must be 1"));
}

TEST(Intake, EveryBeginningOfAFileIsReadOrRefused) {
  Intake intake;
  ASSERT_TRUE(intake.set_text("model.name", "m", Origin::kGiven, "e").ok());
  const std::string yaml = intake_yaml(intake);
  for (size_t n = 0; n < yaml.size(); ++n) (void)parse_intake(yaml.substr(0, n), "f");
}

TEST(Intake, SetRefusesWhatIsOutOfRangeOrUnknown) {
  Intake intake;
  EXPECT_THAT(intake.set_text("slo.error_budget", "1.5", Origin::kGiven, "").error().message,
              HasSubstr("slo.error_budget: must be a number from 0 to 1 of 1, not \"1.5\""));
  EXPECT_THAT(intake.set_text("stack.engine", "vlm", Origin::kGiven, "").error().message,
              HasSubstr("one of vllm, sglang"));
  EXPECT_THAT(intake.set_text("slo.itl", "1", Origin::kGiven, "").error().message,
              HasSubstr("the nearest is \"slo."));
  EXPECT_FALSE(
      intake.set("traffic.concurrency", config::Value(int64_t{0}), Origin::kGiven, "").ok());
  EXPECT_FALSE(intake.set("traffic.concurrency", config::Value(1.5), Origin::kGiven, "").ok());
  EXPECT_TRUE(intake.values().empty());
}

TEST(Intake, WhatIsKnownMoreSurelyStaysAndDifferencesAreNamed) {
  Intake known, found;
  ASSERT_TRUE(known.set_text("traffic.concurrency", "64", Origin::kGiven, "asked").ok());
  ASSERT_TRUE(known.set_text("hardware.ram_gb", "64", Origin::kInferred, "").ok());
  ASSERT_TRUE(known.set_text("hardware.cpu_cores", "4", Origin::kMeasured, "old").ok());
  ASSERT_TRUE(found.set_text("traffic.concurrency", "12", Origin::kMeasured, "trace").ok());
  ASSERT_TRUE(found.set_text("hardware.ram_gb", "61", Origin::kMeasured, "/proc").ok());
  ASSERT_TRUE(found.set_text("hardware.cpu_cores", "4", Origin::kMeasured, "new").ok());
  EXPECT_THAT(known.merge(found), ElementsAre("hardware.ram_gb", "traffic.concurrency"));
  EXPECT_EQ(known.number("traffic.concurrency"), 64.0);
  EXPECT_EQ(known.number("hardware.ram_gb"), 61.0);
  EXPECT_EQ(known.find("hardware.cpu_cores")->evidence, "new");
}

}  // namespace
}  // namespace weir::ops
