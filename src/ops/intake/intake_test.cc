#include "ops/intake/intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "ops/intake/conflicts.h"
#include "ops/intake/infer.h"
#include "ops/intake/replace.h"
#include "ops/project/folder_lock.h"
#include "ops/project/own_files.h"
#include "ops/project/project.h"
#include "os/file.h"
#include "os/temp_dir.h"

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
    EXPECT_FALSE(f.key.spec.help.empty()) << f.key.path;
    EXPECT_EQ(f.key.spec.help.find('\n'), std::string_view::npos) << f.key.path;
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

// What a person gives is one line; what was read is made one, so that no file steers a terminal,
// and whatever is taken reads back.
TEST(Intake, ATextIsALineThatReadsBack) {
  Intake intake;
  const std::string path = "model.name";
  for (const std::string& bad : {std::string("a\nb"), std::string("\x1b[31mred"),
                                 std::string("\xff"), std::string(2049, 'x')}) {
    const Status status = intake.set_text(path, bad, Origin::kGiven, "");
    ASSERT_FALSE(status.ok()) << bad.substr(0, 10);
    EXPECT_THAT(status.error().message, HasSubstr("model.name: must be one line of UTF-8"));
  }
  ASSERT_TRUE(intake.set_text(path, "\x1b[31mred\xff\n", Origin::kMeasured, "f\x1b").ok());
  EXPECT_EQ(intake.text(path), "\uFFFD[31mred\uFFFD\uFFFD");
  EXPECT_EQ(intake.find(path)->evidence, "f\uFFFD");
  EXPECT_FALSE(intake.set_text(path, std::string(2049, 'x'), Origin::kMeasured, "").ok());
  for (const IntakeField& field : intake_fields()) {
    if (field.key.type != config::Type::kText || !field.key.spec.choices.empty()) continue;
    ASSERT_TRUE(intake
                    .set_text(field.key.path, std::string(2048, '"'), Origin::kGiven,
                              std::string(5000, '\\'))
                    .ok());
  }
  EXPECT_EQ(intake.find(path)->evidence.size(), 2048U);
  EXPECT_TRUE(intake.find(path)->evidence.ends_with("…"));
  const std::string yaml = intake_yaml(intake);
  EXPECT_LT(yaml.size(), 1U << 20U) << "what read_intake takes";
  const auto again = parse_intake(yaml, "intake.yaml");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->values(), intake.values());
}

Intake with(std::initializer_list<std::pair<const char*, const char*>> values) {
  Intake i;
  for (const auto& [path, value] : values)
    EXPECT_TRUE(i.set_text(path, value, Origin::kGiven, "").ok()) << path;
  return i;
}

std::set<std::string> missing(const Intake& i) {
  std::set<std::string> out;
  for (const IntakeField* f : i.missing()) out.insert(f->key.path);
  return out;
}

TEST(Intake, AsksNothingThatSaysNothingOfSuchADeployment) {
  const auto all = missing({});
  for (const char* path : {"hardware.rdma", "hardware.storage_gb_per_s", "stack.tensor_parallel"}) {
    EXPECT_TRUE(all.contains(path)) << path;
    EXPECT_FALSE(missing(with({{"stack.engine", "hosted"}})).contains(path)) << path;
    EXPECT_FALSE(missing(with({{"hardware.accelerators_per_node", "0"}})).contains(path)) << path;
    EXPECT_TRUE(missing(with({{"hardware.accelerators_per_node", "8"}})).contains(path)) << path;
  }
  EXPECT_FALSE(missing(with({{"hardware.nodes", "1"}})).contains("hardware.rdma"));
  EXPECT_TRUE(missing(with({{"hardware.nodes", "2"}})).contains("hardware.rdma"));
  EXPECT_TRUE(missing(with({{"stack.engine", "hosted"}})).contains("traffic.kind"));
}

TEST(Intake, WhatCannotHoldTogetherIsNamed) {
  const auto named = [](std::initializer_list<std::pair<const char*, const char*>> values) {
    std::vector<std::string> out;
    for (const IntakeConflict& c : find_conflicts(with(values)))
      out.push_back(c.first + " " + c.second);
    return out;
  };
  EXPECT_THAT(named({{"traffic.prompt_tokens_p50", "500"}, {"traffic.prompt_tokens_p95", "400"}}),
              ElementsAre("traffic.prompt_tokens_p50 traffic.prompt_tokens_p95"));
  EXPECT_THAT(named({{"traffic.output_tokens_p95", "500"}, {"traffic.output_tokens_p99", "400"}}),
              ElementsAre("traffic.output_tokens_p95 traffic.output_tokens_p99"));
  EXPECT_THAT(named({{"traffic.requests_per_s", "5"}, {"traffic.requests_per_s_peak", "4"}}),
              ElementsAre("traffic.requests_per_s traffic.requests_per_s_peak"));
  EXPECT_THAT(named({{"traffic.prompt_tokens_p95", "9000"}, {"model.context_tokens", "8192"}}),
              ElementsAre("traffic.prompt_tokens_p95 model.context_tokens"));
  EXPECT_THAT(named({{"model.active_parameters_b", "22"}, {"model.parameters_b", "8"}}),
              ElementsAre("model.active_parameters_b model.parameters_b"));
  EXPECT_THAT(named({{"stack.tensor_parallel", "32"},
                     {"hardware.accelerators_per_node", "8"},
                     {"hardware.nodes", "2"}}),
              ElementsAre("stack.tensor_parallel hardware.accelerators_per_node"));
  EXPECT_THAT(
      named({{"constraints.offline", "true"},
             {"traffic.streaming", "true"},
             {"slo.ttft_ms_p95", "1000"}}),
      ElementsAre("constraints.offline traffic.streaming", "constraints.offline slo.ttft_ms_p95"));
  EXPECT_THAT(named({{"stack.tensor_parallel", "16"},
                     {"hardware.accelerators_per_node", "8"},
                     {"hardware.nodes", "2"},
                     {"constraints.offline", "true"},
                     {"traffic.streaming", "false"},
                     {"traffic.requests_per_s", "5"},
                     {"traffic.requests_per_s_peak", "5"}}),
              ElementsAre());
  const auto one = find_conflicts(
      with({{"traffic.prompt_tokens_p50", "500"}, {"traffic.prompt_tokens_p95", "400"}}));
  EXPECT_EQ(one[0].what, "traffic.prompt_tokens_p50 500 is above traffic.prompt_tokens_p95 400");
}

TEST(Intake, BitsFollowFromThePrecision) {
  for (const std::string_view p : find_intake_field("model.precision")->key.spec.choices)
    EXPECT_GT(precision_bits(p), 0) << p;
  const Intake i = with_inferred(with({{"model.precision", "bf16"}}));
  EXPECT_EQ(i.number("model.bits_per_weight"), 16.0);
  EXPECT_EQ(i.find("model.bits_per_weight")->origin, Origin::kInferred);
  EXPECT_EQ(i.find("model.bits_per_weight")->evidence, "of model.precision bf16");
  EXPECT_EQ(with_inferred(with({{"model.precision", "int4"}, {"model.bits_per_weight", "4.8"}}))
                .number("model.bits_per_weight"),
            4.8);
  EXPECT_EQ(with_inferred({}).find("model.bits_per_weight"), nullptr);
}

TEST(Intake, AnotherSourceOfTheSameKindReplacesAllThatTheFirstSaid) {
  const auto measured = [](Intake& i, const char* path, const char* value, const char* evidence) {
    ASSERT_TRUE(i.set_text(path, value, Origin::kMeasured, evidence).ok()) << path;
  };
  Intake known;
  measured(known, "traffic.trace", "mooncake.jsonl", "mooncake.jsonl, 900 requests");
  measured(known, "traffic.shared_prefix_share", "0.5", "mooncake.jsonl, 900 requests: as a cache");
  measured(known, "traffic.prompt_tokens_p50", "6000", "mooncake.jsonl, 900 requests");
  measured(known, "observed.running", "3", "http://a: vllm:num_requests_running");
  measured(known, "stack.config", "old.yaml", "old.yaml");
  measured(known, "stack.replicas", "1", "old.yaml:5");
  ASSERT_TRUE(
      known.set_text("stack.chunked_prefill", "true", Origin::kInferred, "default of vllm 0.33.0")
          .ok());
  ASSERT_TRUE(known.set_text("traffic.turns", "4", Origin::kGiven, "").ok());
  Intake azure;
  measured(azure, "traffic.trace", "azure.csv", "azure.csv, 500 requests");
  measured(azure, "traffic.prompt_tokens_p50", "1500", "azure.csv, 500 requests");
  Intake traced = known;
  forget_replaced(traced, azure);
  EXPECT_EQ(traced.find("traffic.shared_prefix_share"), nullptr);
  EXPECT_EQ(traced.find("traffic.prompt_tokens_p50"), nullptr);
  EXPECT_EQ(traced.number("traffic.turns"), 4.0);
  EXPECT_EQ(traced.number("stack.replicas"), 1.0);
  EXPECT_EQ(traced.number("observed.running"), 3.0);
  Intake config, server;
  measured(config, "stack.config", "new.yaml", "new.yaml");
  measured(server, "observed.waiting", "1", "http://b: vllm:num_requests_waiting");
  Intake configured = known;
  forget_replaced(configured, config);
  EXPECT_EQ(configured.find("stack.replicas"), nullptr);
  EXPECT_EQ(configured.find("stack.chunked_prefill"), nullptr);
  EXPECT_NE(configured.find("traffic.shared_prefix_share"), nullptr);
  Intake watched = known;
  forget_replaced(watched, server);
  EXPECT_EQ(watched.find("observed.running"), nullptr);
  EXPECT_NE(watched.find("stack.replicas"), nullptr);
}

// Twelve that add one to the same file at once: none is lost.
TEST(Project, AnIntakeThatIsNoFileIsNamed) {
  const os::TempDir dir;
  std::filesystem::create_directories(dir.file("p/intake.yaml"));
  for (const auto& project : {Project::init(dir.file("p")), Project::open(dir.file("p"))}) {
    ASSERT_FALSE(project.ok());
    EXPECT_THAT(project.error().message, HasSubstr("intake.yaml is there and is no file"));
  }
  std::filesystem::remove(dir.file("p/intake.yaml"));
  EXPECT_EQ(Project::open(dir.file("p")).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(Project::init(dir.file("p")).ok());
  EXPECT_TRUE(Project::open(dir.file("p")).ok());
}

TEST(Project, ItsOwnFilesAreNoOutputs) {
  const os::TempDir dir;
  const Project project = Project::init(dir.file("p")).value();
  const std::vector<std::string> own = own_files(project.folder());
  EXPECT_THAT(own, ::testing::Contains(project.intake()));
  for (const char* name : {"waivers.yaml", "sources.json", "release.pub", "releases/audit.db"})
    EXPECT_THAT(own, ::testing::Contains(project.path(name)));
}

TEST(FolderLock, ChangesOfManyAreAllKept) {
  const std::string folder = ::testing::TempDir() + "/weir-lock-" + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  const std::string file = folder + "/n";
  ASSERT_TRUE(os::write_file_atomic(file, "0").ok());
  std::vector<std::thread> threads;
  threads.reserve(12);
  for (int i = 0; i < 12; ++i) {
    threads.emplace_back([&] {
      const auto lock = FolderLock::take(folder);
      EXPECT_TRUE(lock.ok());
      const int n = std::stoi(*os::read_file(file, 100));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      EXPECT_TRUE(os::write_file_atomic(file, std::to_string(n + 1)).ok());
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(*os::read_file(file, 100), "12");
  EXPECT_FALSE(FolderLock::take(folder + "/none").ok());
  std::filesystem::remove_all(folder);
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
