// The time of a routing decision: `route_bench [--benchmark_filter=...]`. 10,000 tenants, each with
// a system prompt of its own and 20 conversations, over 1,000 endpoints, all of which are
// candidates: what the gateway does for a request between having read it and sending it on.
//   BM_Decision/POLICY     match in the index, pick three attempts, note the prompt at the first
//   BM_Blocks/BYTES        name the blocks of a prompt
//   BM_Failover            shares of the tiers, as each second or when an endpoint changes
// The counter "bytes" is the memory of the prefix index.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "gateway/route/mix.h"
#include "gateway/route/pick.h"
#include "gateway/route/prefix_index.h"

namespace {

using namespace weir;
using namespace weir::gateway;

constexpr uint32_t kEndpoints = 1'000;
constexpr uint64_t kTenants = 10'000;
constexpr uint64_t kConversations = 20;

struct Fleet {
  std::vector<EndpointView> endpoints;
  std::vector<Candidate> candidates;
  Failover failover{{}};

  explicit Fleet(bool equal_weights) {
    for (uint32_t i = 0; i < kEndpoints; ++i) {
      candidates.push_back({.endpoint = i, .priority = static_cast<uint8_t>(i % 10 == 0 ? 1 : 0)});
      endpoints.push_back({.identity = mix64(i),
                           .weight = equal_weights ? 1.0 : static_cast<double>(1 + i % 4),
                           .up = i % 50 != 0,
                           .region = 1 + i % 3,
                           .zone = 1 + i % 9,
                           .max_in_flight = 64,
                           .signals_age_ms = 500,
                           .prefill_tokens_per_s = 8'000});
    }
    failover.update(view(), candidates, 0);
  }
  FleetView view() const { return {endpoints, 1, 1}; }
};

// Names of blocks as PromptBlocks cuts a prompt of 4 to 36 KB: system prompt, then conversation.
std::vector<PromptBlock> prompt(uint64_t tenant, uint64_t conversation, uint64_t turn) {
  const size_t system_bytes = 2'048 + mix64(tenant) % 8'192;
  const size_t bytes = system_bytes + 2'048 * (1 + turn % 12);
  std::vector<PromptBlock> out;
  uint64_t name = mix64(tenant);
  for (size_t end = block_end(0, 256); end <= bytes; end = block_end(end, 256)) {
    name = mix64(name + (end > system_bytes ? conversation + 1 : 0));
    out.push_back({name, static_cast<uint32_t>(end / 4)});
  }
  return out;
}

void BM_Decision(benchmark::State& state) {
  const auto policy = static_cast<PickPolicy>(state.range(0));
  Fleet fleet(state.range(1) != 0);
  PrefixIndex index({.endpoints = kEndpoints, .max_pairs = 1'000'000});
  for (uint32_t i = 0; i < kEndpoints; ++i) index.set_capacity(i, 1'000'000);
  PickConfig config;
  config.policy = policy;
  std::vector<uint32_t> matched(kEndpoints);
  PickScratch scratch;
  // Drawn before, so that only the decision is timed: tenants by a skewed law.
  Rng rng(1);
  std::vector<std::vector<PromptBlock>> prompts;
  std::vector<std::string> sessions;
  for (int i = 0; i < 20'000; ++i) {
    const double u = rng.unit();
    const auto tenant = static_cast<uint64_t>(u * u * kTenants);
    const uint64_t conversation = rng.below(kConversations);
    prompts.push_back(prompt(tenant, conversation, rng.next()));
    sessions.push_back(std::to_string(tenant) + "/" + std::to_string(conversation));
  }
  uint64_t turn = 0;
  int64_t hits = 0;
  const auto decide = [&] {
    const size_t at = turn % prompts.size();
    RequestView request;
    request.session = sessions[at];
    request.blocks = prompts[at];
    request.input_tokens = prompts[at].back().end_tokens + 50;
    if (policy == PickPolicy::kCacheAware) index.match(request.blocks, matched);
    const Attempts a = route(config,
                             {.request = request,
                              .fleet = fleet.view(),
                              .failover = fleet.failover,
                              .matched_tokens = matched,
                              .draw = random_u64(2, 0, turn),
                              .turn = turn},
                             scratch);
    if (policy == PickPolicy::kCacheAware) {
      hits += matched[a.endpoint[0]] > 0 ? 1 : 0;
      index.touch(a.endpoint[0], request.blocks);
    }
    EndpointView& e = fleet.endpoints[a.endpoint[0]];
    e.queued_tokens = (e.queued_tokens * 7 + request.input_tokens) / 8;
    ++turn;
  };
  for (size_t i = 0; i < prompts.size(); ++i) decide();  // the index as it is after a while
  hits = 0;
  for (auto _ : state) decide();
  state.SetLabel(std::string(pick_policy_name(policy)) +
                 (state.range(1) != 0 ? "" : ", four weights"));
  state.counters["bytes"] = static_cast<double>(index.bytes());
  state.counters["pairs"] = static_cast<double>(index.pairs());
  state.counters["hits"] = static_cast<double>(hits) / static_cast<double>(state.iterations());
}
BENCHMARK(BM_Decision)->ArgsProduct({{0, 1, 2, 3, 4}, {1, 0}})->Unit(benchmark::kMicrosecond);

void BM_Blocks(benchmark::State& state) {
  const std::string text(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) {
    PromptBlocks blocks({.key = {1, 2}}, "tenant");
    blocks.add("user", text);
    benchmark::DoNotOptimize(blocks.blocks().data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Blocks)->Arg(1 << 10)->Arg(16 << 10)->Arg(1 << 20)->Unit(benchmark::kMicrosecond);

void BM_Failover(benchmark::State& state) {
  Fleet fleet(true);
  int64_t now = 0;
  for (auto _ : state) fleet.failover.update(fleet.view(), fleet.candidates, ++now);
}
BENCHMARK(BM_Failover)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
