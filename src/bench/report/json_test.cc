#include "bench/report/json.h"

#include <gtest/gtest.h>

#include "bench/report/testing.h"

namespace weir::bench {
namespace {

using text::Json;

Report sample_report(int requests = 60) {
  SyntheticOptions o;
  o.requests = requests;
  o.groups = 2;
  o.refused_share = 0.1;
  o.output_tokens = 5;
  const Slo slo = *parse_slo("ttft=100ms,itl=30ms,share=0.6");
  std::vector<LoadSummary> runs;
  for (const double rate : {20.0, 10.0}) {
    o.rate_per_s = rate;
    runs.push_back(summarize(synthetic_run(1, o), slo));
  }
  return make_report(std::move(runs), slo, {{"model", "m\"<"}, {"target", "http://x"}},
                     "2026-11-25T12:00:00Z");
}

TEST(ReportJson, ReadsBackToTheSameDocument) {
  const Json written = report_json(sample_report());
  const std::string bytes = written.dump();
  const auto read = read_report(bytes);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->runs.size(), 2u);
  EXPECT_EQ(read->runs[0].label, "rate 10");
  EXPECT_EQ(read->slo.share, 0.6);
  EXPECT_EQ(report_json(*read).dump(), bytes);
  EXPECT_TRUE(read_report(written.dump({.indent = 2})).ok());
}

TEST(ReportJson, ARunOfNothingReadsBack) {
  const Report empty = make_report({summarize({}, {})}, {}, {}, "");
  const std::string bytes = report_json(empty).dump();
  const auto read = read_report(bytes);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(report_json(*read).dump(), bytes);
}

TEST(ReportJson, CutAnywhereItIsRefused) {
  Report report = sample_report(2);
  report.runs.resize(1);
  report.sweep = {};
  const std::string bytes = report_json(report).dump();
  for (size_t cut = 0; cut < bytes.size(); ++cut)
    ASSERT_FALSE(read_report(std::string_view(bytes).substr(0, cut)).ok()) << cut;
}

// Every member, one at a time: missing, and of a type that no member has.
void break_each(Json& value, const Json& root, const std::string& path, int& tried) {
  if (!value.is_object()) return;
  for (size_t i = 0; i < value.members().size(); ++i) {
    const Json::Member kept = value.members()[i];
    const std::string here = path + "." + kept.first;
    if (path.empty() && (kept.first == "vllm" || kept.first == "guidellm" || kept.first == "sweep"))
      continue;
    const bool free_names = path.ends_with(".settings") || path == ".settings";
    if (!free_names) {
      value.members().erase(value.members().begin() + static_cast<std::ptrdiff_t>(i));
      EXPECT_FALSE(read_report(root.dump()).ok()) << "without " << here;
      value.members().insert(value.members().begin() + static_cast<std::ptrdiff_t>(i), kept);
    }
    Json odd = Json::array();
    odd.push_back(Json::array());
    value.members()[i].second = odd;
    EXPECT_FALSE(read_report(root.dump()).ok()) << "odd " << here;
    value.members()[i].second = kept.second;
    ++tried;
    if (value.members()[i].second.is_object()) {
      break_each(value.members()[i].second, root, here, tried);
    } else if (kept.second.is_array() && kept.second.size() > 0) {
      break_each(value.members()[i].second.items()[0], root, here + "[0]", tried);
    }
  }
}

TEST(ReportJson, EveryMemberIsNeededAndHasItsType) {
  Report report = sample_report(6);
  report.runs.resize(1);
  report.runs[0].groups.resize(1);
  report.runs[0].samples.resize(1);
  Json root = report_json(report);
  ASSERT_TRUE(read_report(root.dump()).ok());
  int tried = 0;
  break_each(root, root, "", tried);
  EXPECT_GT(tried, 400);
  EXPECT_TRUE(read_report(root.dump()).ok());
}

TEST(ReportJson, ErrorsNameThePath) {
  Json root = report_json(sample_report(6));
  Json& run = root.find("runs")->items()[1];
  const auto message = [&](Json& at, const char* name, Json value) {
    const Json kept = *at.find(name);
    at.set(name, std::move(value));
    const auto read = read_report(root.dump());
    at.set(name, kept);
    EXPECT_FALSE(read.ok());
    return read.ok() ? std::string() : read.error().message;
  };
  EXPECT_EQ(message(run, "requests", "many"),
            "runs[1].requests must be an integer from -1 to 9007199254740992, not a string");
  EXPECT_EQ(message(*run.find("ttft_ms")->find("p99"), "value", 1e300),
            "runs[1].ttft_ms.p99.value must be a number up to 1e+15 or null, not 1e+300");
  EXPECT_EQ(message(root, "schema", "weir.bench.load/2"),
            "this is no report of weir bench load: \"schema\" must be \"weir.bench.load/1\" (write "
            "one with --json)");
  EXPECT_NE(message(*run.find("ttft_ms"), "count", int64_t{99}).find("differs from its histogram"),
            std::string::npos);
  EXPECT_NE(
      message(*run.find("timeline"), "arrivals_per_s", Json::array()).find("differ in length"),
      std::string::npos);
  EXPECT_NE(message(*run.find("ttft_ms")->find("histogram"), "min", -5.0).find("histogram"),
            std::string::npos);
}

TEST(ReportJson, SaysItInTheNamesOfVllm) {
  const Report report = sample_report();
  const LoadSummary& run = report.runs[0];
  const Json o = vllm_json(run);
  for (const char* name : {"duration",
                           "completed",
                           "failed",
                           "total_input_tokens",
                           "total_output_tokens",
                           "request_throughput",
                           "request_goodput",
                           "output_throughput",
                           "total_token_throughput",
                           "max_output_tokens_per_s",
                           "max_concurrent_requests",
                           "mean_ttft_ms",
                           "median_ttft_ms",
                           "std_ttft_ms",
                           "p99_ttft_ms",
                           "mean_tpot_ms",
                           "median_tpot_ms",
                           "p99_tpot_ms",
                           "mean_itl_ms",
                           "median_itl_ms",
                           "p99_itl_ms",
                           "mean_e2el_ms",
                           "p99.9_e2el_ms"}) {
    ASSERT_NE(o.find(name), nullptr) << name;
    EXPECT_TRUE(o.find(name)->is_number()) << name;
  }
  EXPECT_EQ(o.find("median_ttft_ms")->as_double(), run.ttft_ms.p50().value);
  EXPECT_EQ(o.find("model_id")->as_string(), "synthetic");
  EXPECT_TRUE(vllm_json(summarize({}, {})).find("request_goodput")->is_null());
}

TEST(ReportJson, SaysItInTheNamesOfGuidellm) {
  const Report report = sample_report();
  const LoadSummary& run = report.runs[0];
  const Json o = guidellm_json(report);
  const Json& metrics = *o.find("benchmarks")->items()[0].find("metrics");
  EXPECT_EQ(metrics.find("request_totals")->find("successful")->as_int(), run.ok);
  const Json& latency = *metrics.find("request_latency")->find("successful");
  EXPECT_NEAR(latency.find("mean")->as_double(), run.e2e_ms.mean.value * 1e-3, 1e-12);
  const Json& ttft = *metrics.find("time_to_first_token_ms")->find("successful");
  EXPECT_EQ(ttft.find("percentiles")->find("p95")->as_double(), run.ttft_ms.p95().value);
  EXPECT_NEAR(
      metrics.find("output_tokens_per_second")->find("successful")->find("mean")->as_double(),
      run.output_tokens_per_s.value, 1e-9);
}

}  // namespace
}  // namespace weir::bench
