// No report says a thing and its contrary: over a grid of deployments, none holds both of a pair.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ops/advise/advice.h"

namespace weir::ops {
namespace {

// Ids of actions that are to be done, or "tree/leaf" of what is said.
struct Contrary {
  const char* one;
  const char* other;
};
constexpr Contrary kContraries[] = {
    {"kv-cache-dtype", "kv-cache/short-sequences"},
    {"kv-cache-dtype", "kv-cache/mla"},
    {"raise-batch", "batching/single"},
    {"continuous-batching", "batching/single"},
    {"fill-the-engine", "batching/single"},
    {"raise-batch", "fewer-at-once"},
    {"fill-the-engine", "batching/interactive"},
    {"batch-jobs", "batching/interactive"},
    {"batch-jobs", "cost/someone-waits"},
    {"spot-capacity", "cost/someone-waits"},
    {"start/short-context", "start/prefill-first"},
    {"start/prefill-first", "kv-cache/short-sequences"},
    {"pipeline-parallel", "start/one-device"},
    {"tensor-parallel", "replicas-first"},
    {"tensor-parallel", "narrow-tensor-parallel"},
    {"prefix-cache", "kv-cache/unique"},
    {"kv-aware-routing", "kv-cache/unique"},
    {"kv-aware-routing", "least-requests-routing"},
    {"speculate", "speculation/not-decode"},
    {"speculate", "speculation/nothing-decoded"},
    {"speculate", "stop-speculation"},
    {"quantize-weights", "quantization/kept"},
    {"quantize-weights", "quantization/no-margin"},
    {"scale-on-queue", "infrastructure/steady"},
    {"size-for-bursts", "infrastructure/steady"},
    {"add-replicas", "fewer-replicas"},
    {"capacity/memory-short", "kv-cache/room"},
    {"smaller-steps", "larger-steps"},
};

Intake with(const std::vector<std::pair<const char*, const char*>>& values) {
  Intake i;
  for (const auto& [path, value] : values) {
    EXPECT_TRUE(i.set_text(path, value, Origin::kGiven, "").ok()) << path;
  }
  return i;
}

struct Rules {
  std::vector<Tree> trees = *built_in_trees();
  Actions actions = *built_in_actions();
};

// What the report of `intake` says: actions to do, leaves reached.
std::set<std::string> said(const Rules& rules, const Intake& intake) {
  std::set<std::string> out;
  const auto advice = advise(rules.trees, rules.actions, intake);
  EXPECT_TRUE(advice.ok());
  for (const AdvisedAction& a : advice->actions) {
    if (a.state == ActionState::kDo) out.insert(a.action->id);
  }
  for (const Walk& w : advice->walks) {
    for (const TreeNode* leaf : w.leaves) out.insert(w.tree->name + "/" + leaf->name);
  }
  return out;
}

// Kinds of deployments, of traffic and of observations, each with each.
using Part = std::vector<std::pair<const char*, const char*>>;
const std::vector<Part> kMachines = {
    {{"hardware.edge", "true"},
     {"hardware.accelerators_per_node", "0"},
     {"hardware.nodes", "1"},
     {"hardware.memory_gb", "8"},
     {"hardware.ram_gb", "8"},
     {"stack.replicas", "1"},
     {"stack.engine", "llama.cpp"},
     {"stack.batching", "none"},
     {"model.parameters_b", "1.5"},
     {"model.precision", "int4"},
     {"model.attention", "gqa"},
     {"stack.speculation", "none"}},
    {{"hardware.edge", "false"},
     {"hardware.accelerators_per_node", "4"},
     {"hardware.nodes", "1"},
     {"model.kv_bytes_per_token", "262144"},
     {"hardware.memory_gb", "24"},
     {"hardware.interconnect", "pcie"},
     {"stack.replicas", "1"},
     {"stack.tensor_parallel", "4"},
     {"stack.engine", "vllm"},
     {"model.parameters_b", "32"},
     {"model.precision", "bf16"},
     {"model.attention", "gqa"},
     {"stack.max_running", "256"}},
    {{"hardware.edge", "false"},
     {"hardware.accelerators_per_node", "8"},
     {"hardware.nodes", "1"},
     {"hardware.memory_gb", "141"},
     {"hardware.interconnect", "nvswitch"},
     {"stack.replicas", "8"},
     {"stack.tensor_parallel", "1"},
     {"stack.engine", "sglang"},
     {"model.parameters_b", "120"},
     {"model.precision", "fp4"},
     {"model.attention", "gqa"},
     {"stack.max_running", "64"},
     {"stack.batching", "continuous"},
     {"stack.chunked_prefill", "true"},
     {"stack.autoscaling", "none"}},
    {{"hardware.edge", "false"},
     {"hardware.accelerators_per_node", "8"},
     {"hardware.nodes", "4"},
     {"hardware.memory_gb", "80"},
     {"hardware.interconnect", "nvswitch"},
     {"hardware.rdma", "false"},
     {"stack.replicas", "2"},
     {"stack.tensor_parallel", "16"},
     {"stack.engine", "vllm"},
     {"model.parameters_b", "671"},
     {"model.active_parameters_b", "37"},
     {"model.precision", "fp8"},
     {"model.attention", "mla"},
     {"model.kv_bytes_per_token", "70000"},
     {"stack.max_running", "512"},
     {"stack.autoscaling", "none"}},
    {{"stack.engine", "hosted"}},
};
const std::vector<Part> kTraffic = {
    {{"traffic.kind", "chat"},
     {"traffic.concurrency", "1"},
     {"traffic.streaming", "true"},
     {"traffic.prompt_tokens_p50", "300"},
     {"traffic.prompt_tokens_p95", "1200"},
     {"traffic.output_tokens_p50", "200"},
     {"traffic.output_tokens_p95", "600"}},
    {{"traffic.kind", "chat"},
     {"traffic.concurrency", "200"},
     {"traffic.streaming", "true"},
     {"constraints.offline", "true"},
     {"traffic.shared_prefix_share", "0.5"},
     {"traffic.prompt_tokens_p50", "3000"},
     {"traffic.prompt_tokens_p95", "9000"},
     {"traffic.output_tokens_p50", "300"},
     {"traffic.output_tokens_p95", "900"},
     {"traffic.requests_per_s", "10"},
     {"traffic.requests_per_s_peak", "40"}},
    {{"traffic.kind", "rag"},
     {"traffic.concurrency", "64"},
     {"traffic.streaming", "true"},
     {"traffic.shared_prefix_share", "0.15"},
     {"traffic.prompt_tokens_p50", "6000"},
     {"traffic.prompt_tokens_p95", "8000"},
     {"traffic.output_tokens_p50", "200"},
     {"traffic.output_tokens_p95", "500"},
     {"traffic.requests_per_s", "10"},
     {"traffic.requests_per_s_peak", "12"},
     {"traffic.arrival_cv", "1"}},
    {{"traffic.kind", "rag"},
     {"traffic.concurrency", "300"},
     {"traffic.streaming", "true"},
     {"traffic.shared_prefix_share", "0.02"},
     {"traffic.prompt_tokens_p50", "3000"},
     {"traffic.prompt_tokens_p95", "6000"},
     {"traffic.output_tokens_p50", "200"},
     {"traffic.output_tokens_p95", "500"},
     {"traffic.requests_per_s", "10"},
     {"traffic.arrival_cv", "3"}},
    {{"traffic.kind", "batch"},
     {"traffic.concurrency", "1"},
     {"traffic.streaming", "false"},
     {"constraints.offline", "true"},
     {"traffic.prompt_tokens_p50", "1000"},
     {"traffic.prompt_tokens_p95", "2000"},
     {"traffic.output_tokens_p50", "100"},
     {"traffic.output_tokens_p95", "200"}},
    {{"traffic.kind", "embedding"},
     {"traffic.concurrency", "32"},
     {"traffic.streaming", "false"},
     {"traffic.prompt_tokens_p50", "500"},
     {"traffic.prompt_tokens_p95", "2000"},
     {"traffic.output_tokens_p50", "1"},
     {"traffic.output_tokens_p95", "1"}},
    {},
};
const std::vector<Part> kObserved = {
    {},
    {{"observed.decode_ms_mean", "4000"},
     {"observed.prefill_ms_mean", "300"},
     {"observed.queue_ms_mean", "10"},
     {"observed.itl_ms_p50", "60"},
     {"observed.itl_ms_p95", "90"},
     {"observed.itl_ms_p99", "300"},
     {"slo.itl_ms_p95", "50"},
     {"observed.ttft_ms_p95", "800"},
     {"slo.ttft_ms_p95", "1000"},
     {"observed.running", "3"},
     {"observed.waiting", "0"},
     {"observed.kv_usage", "0.3"}},
    {{"observed.decode_ms_mean", "400"},
     {"observed.prefill_ms_mean", "900"},
     {"observed.queue_ms_mean", "2000"},
     {"observed.itl_ms_p50", "10"},
     {"observed.itl_ms_p95", "15"},
     {"observed.itl_ms_p99", "20"},
     {"slo.itl_ms_p95", "50"},
     {"observed.ttft_ms_p95", "4000"},
     {"slo.ttft_ms_p95", "1000"},
     {"observed.running", "250"},
     {"observed.waiting", "40"},
     {"observed.kv_usage", "0.95"}},
};
const std::vector<Part> kConstraints = {
    {},
    {{"constraints.quantization", "true"}, {"constraints.quality_margin", "0"}},
    {{"constraints.draft_model", "true"},
     {"constraints.quantization", "false"},
     {"constraints.quality_margin", "0"},
     {"constraints.interruptible", "true"}},
    {{"constraints.draft_model", "true"},
     {"constraints.quantization", "true"},
     {"constraints.quality_margin", "1"},
     {"constraints.smaller_model", "true"},
     {"stack.speculation", "ngram"},
     {"observed.acceptance", "0.2"}},
};

TEST(BuiltInTrees, NoReportSaysAThingAndItsContrary) {
  const Rules rules;
  std::set<std::string> ever;
  for (const Part& machine : kMachines) {
    for (const Part& traffic : kTraffic) {
      for (const Part& observed : kObserved) {
        for (const Part& constraints : kConstraints) {
          Part all = machine;
          for (const Part* part : {&traffic, &observed, &constraints})
            all.insert(all.end(), part->begin(), part->end());
          const auto report = said(rules, with(all));
          ever.insert(report.begin(), report.end());
          for (const Contrary& c : kContraries) {
            EXPECT_FALSE(report.contains(c.one) && report.contains(c.other))
                << c.one << " and " << c.other << " for machine " << &machine - &kMachines[0]
                << ", traffic " << &traffic - &kTraffic[0] << ", observed "
                << &observed - &kObserved[0] << ", constraints " << &constraints - &kConstraints[0];
          }
        }
      }
    }
  }
  // The table and the grid fit the trees: each side is said by some report.
  for (const Contrary& c : kContraries) {
    for (const char* side : {c.one, c.other}) EXPECT_TRUE(ever.contains(side)) << side;
  }
}

TEST(BuiltInTrees, AnEdgeMachineGetsNoSpotAndAStreamedChatNoBatchJobs) {
  const Rules rules;
  const auto report = said(rules, with({{"hardware.edge", "true"},
                                        {"hardware.accelerators_per_node", "0"},
                                        {"traffic.kind", "batch"},
                                        {"constraints.offline", "true"},
                                        {"constraints.interruptible", "true"}}));
  EXPECT_FALSE(report.contains("spot-capacity"));
  EXPECT_TRUE(report.contains("batch-jobs"));
  const auto chat = said(rules, with({{"hardware.edge", "true"},
                                      {"traffic.kind", "chat"},
                                      {"traffic.streaming", "true"},
                                      {"constraints.offline", "true"}}));
  EXPECT_FALSE(chat.contains("batch-jobs"));
}

TEST(BuiltInTrees, OneMachineIsNotAskedAboutRdma) {
  const Rules rules;
  for (const Part& machine : kMachines) {
    const Intake i = with(machine);
    if (i.number("hardware.nodes") != 1) continue;
    const auto advice = advise(rules.trees, rules.actions, i);
    for (const Walk& w : advice->walks) {
      for (const WalkStep& s : w.steps) {
        for (const auto& [path, value] : s.tested) EXPECT_NE(path, "hardware.rdma") << s.node->name;
      }
    }
  }
}

}  // namespace
}  // namespace weir::ops
