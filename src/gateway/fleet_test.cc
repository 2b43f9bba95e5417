// Endpoints that come and go: who keeps what, who is asked, and what is forgotten.
#include "gateway/fleet.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gateway/dispatcher.h"

namespace weir::gateway {
namespace {

constexpr int64_t kMs = 1'000'000;

EndpointConfig at(int port, const std::string& zone = "") {
  EndpointConfig e;
  e.url = "http://10.0.0.1:" + std::to_string(port);
  e.to = *http::parse_http_or_https_url(e.url);
  e.zone = zone;
  return e;
}

class FleetTest : public testing::Test {
 protected:
  FleetTest() {
    config_.upstreams.resize(2);
    config_.upstreams[0].name = "a";
    config_.upstreams[0].endpoints = {at(1), at(2)};
    config_.upstreams[0].guard.endpoint.health.enabled = false;
    config_.upstreams[1] = config_.upstreams[0];
    config_.upstreams[1].name = "b";
    config_.upstreams[1].endpoints = {at(1)};
    fleet_.emplace(config_, 1, 0);
  }
  // Indexes of the endpoints of a pool.
  std::vector<uint32_t> indexes(size_t pool) {
    std::vector<uint32_t> out;
    for (const EndpointPtr& e : fleet_->of(pool)) out.push_back(e->index);
    return out;
  }
  Fleet::Change set(size_t pool, const std::vector<EndpointConfig>& endpoints, int64_t now_ns = 0) {
    return fleet_->set(pool, endpoints, now_ns);
  }

  GatewayConfig config_;
  std::optional<Fleet> fleet_;
};

using Indexes = std::vector<uint32_t>;

TEST_F(FleetTest, WhatStaysKeepsItsStateAndWhatGoesMakesRoom) {
  EXPECT_EQ(indexes(0), (Indexes{0, 1}));
  EXPECT_EQ(indexes(1), (Indexes{2}));
  const EndpointPtr stays = fleet_->of(0)[1];
  stays->queued_tokens = 7;
  const uint64_t version = fleet_->version();
  const Fleet::Change change = set(0, {at(2, "z"), at(3), at(3)});
  EXPECT_NE(fleet_->version(), version);
  ASSERT_EQ(change.added.size(), 1U);
  ASSERT_EQ(change.retired.size(), 1U);
  EXPECT_EQ(change.retired[0]->config->url, "http://10.0.0.1:1");
  EXPECT_EQ(fleet_->of(0)[0], stays);
  EXPECT_EQ(stays->queued_tokens, 7);
  EXPECT_EQ(stays->config->zone, "z");
  EXPECT_EQ(indexes(0), (Indexes{1, 3})) << "0 is not free before it is swept";
  EXPECT_EQ(fleet_->sweep(), 0U);
  set(1, {at(1), at(9)});
  EXPECT_EQ(indexes(1), (Indexes{2, 0}));
  EXPECT_FALSE(set(1, {at(9), at(1)}).any());
}

TEST_F(FleetTest, ARetiredOneDrains) {
  const EndpointPtr old = fleet_->of(0)[0];
  auto permit = old->pool->start(old->number, 0);
  ASSERT_TRUE(permit.has_value());
  set(0, {});
  EXPECT_TRUE(fleet_->of(0).empty());
  EXPECT_TRUE(old->retired);
  EXPECT_FALSE(old->pool->start(old->number, 0).has_value());
  EXPECT_EQ(fleet_->sweep(), 1U);
  EXPECT_EQ(fleet_->slots()[0], old);
  EXPECT_EQ(old->pool->finish(*permit, {.end = AttemptEnd::kAnswered, .status = 200}, kMs),
            EndpointSign::kGood);
  EXPECT_EQ(fleet_->sweep(), 0U);
  EXPECT_EQ(fleet_->slots()[0], nullptr);
  // Whoever still has it cannot send there, also when its numbers are another's now.
  const Fleet::Change change = set(0, {at(5)});
  EXPECT_EQ(change.added[0]->index, 0U);
  EXPECT_FALSE(old->pool->start(old->number, 0).has_value());
}

TEST_F(FleetTest, ANewOneBeginsWithSlowStart) {
  const int64_t later = 100'000 * kMs;
  const Fleet::Change change = set(0, {at(1), at(2), at(3)}, later);
  EXPECT_LT(change.added[0]->guard().weight(later), 0.2);
  EXPECT_EQ(fleet_->of(0)[0]->guard().weight(later), 1.0);
  EXPECT_EQ(change.added[0]->guard().weight(later + 10'000 * kMs), 1.0);
}

TEST_F(FleetTest, TheWholeFleetHasABound) {
  std::vector<EndpointConfig> many;
  for (size_t i = 0; i < kMaxEndpoints; ++i) many.push_back(at(static_cast<int>(i) + 1));
  const Fleet::Change change = set(0, many);
  EXPECT_EQ(change.refused, 1U) << "the other pool has one";
  EXPECT_EQ(fleet_->of(0).size(), kMaxEndpoints - 1);
}

TEST_F(FleetTest, AClosedPoolIsForgottenOnceNobodyNamesIt) {
  const auto add = [this](int port) {
    const size_t pool = fleet_->add_pool(config_.upstreams[0], nullptr);
    set(pool, {at(port)});
    return pool;
  };
  const auto close = [this](size_t pool, std::optional<size_t> in_its_place) {
    set(pool, {});
    fleet_->close_pool(pool, in_its_place);
  };
  const EndpointPtr under_way = fleet_->of(0)[0];
  auto permit = under_way->pool->start(under_way->number, 0);
  ASSERT_TRUE(permit.has_value());
  const size_t second = add(2);
  close(0, second);
  const size_t third = add(3);
  close(second, third);
  fleet_->forget_closed(std::vector<size_t>{0});
  ASSERT_EQ(fleet_->of(0).size(), 1U);
  EXPECT_EQ(fleet_->of(0)[0]->config->url, "http://10.0.0.1:3") << "by way of one that is gone";
  EXPECT_EQ(add(4), second) << "its number is free";
  fleet_->forget_closed({});
  EXPECT_TRUE(fleet_->closed(0));
  EXPECT_EQ(add(5), 0U);
  // Whoever still has an endpoint of it may end there.
  EXPECT_EQ(under_way->upstream->name, "a");
  EXPECT_EQ(under_way->pool->finish(*permit, {.end = AttemptEnd::kAnswered, .status = 200}, kMs),
            EndpointSign::kGood);
  EXPECT_EQ(fleet_->sweep(), 0U);
}

class DispatcherTest : public FleetTest {
 protected:
  DispatcherTest() {
    ModelConfig m;
    m.name = "chat";
    m.pick.policy = PickPolicy::kCacheAware;
    m.failover.failback_ms = 0;
    m.targets.resize(2);
    m.targets[0].release = "r1";
    m.targets[1].upstream = 1;
    m.targets[1].release = "r2";
    m.targets[1].tier = 1;
    config_.models.push_back(m);
    config_.upstreams[0].guard.endpoint.slow_start.window_ms = 0;
    fleet_.emplace(config_, 1, 0);
    dispatcher_.emplace(config_, *fleet_, HashKey{1, 2});
    for (uint64_t i = 1; i <= 8; ++i) blocks_.push_back({i, static_cast<uint32_t>(i) * 64});
    request_.input_tokens = 512;
    request_.blocks = blocks_;
  }
  Choice choose(uint64_t draw) {
    now_ns_ += kMs;
    return dispatcher_->choose(config_.models[0], {}, request_, {}, draw, now_ns_);
  }
  std::string url(uint64_t draw) {
    const Choice c = choose(draw);
    return c.endpoint == nullptr ? "" : c.endpoint->config->url.substr(sizeof("http://10.0.0.1"));
  }

  std::optional<Dispatcher> dispatcher_;
  std::vector<PromptBlock> blocks_;
  RequestView request_;
  int64_t now_ns_ = 0;
};

TEST_F(DispatcherTest, FollowsTheFleet) {
  set(0, {at(7)});
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(url(i), "7");
  set(0, {});
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(url(i), "1") << "the next tier";
  set(1, {});
  EXPECT_EQ(url(1), "");
  fleet_->sweep();
  EXPECT_EQ(url(1), "");
  std::vector<EndpointConfig> many;
  for (int i = 1; i <= 100; ++i) many.push_back(at(i));
  set(0, many);
  std::set<std::string> seen;
  for (uint64_t i = 0; i < 2'000; ++i) seen.insert(url(i));
  EXPECT_GT(seen.size(), 90U);
  EXPECT_FALSE(seen.contains(""));
}

// Whoever a picker names is looked for in the pools as they are now.
TEST_F(DispatcherTest, APickedOneIsOfThePoolsAsTheyAre) {
  const auto picked = [&](uint32_t index) {
    return dispatcher_->choose_picked(config_.models[0], {}, std::vector<uint32_t>{index}, {}, 0);
  };
  set(0, {});
  fleet_->sweep();
  const uint32_t fresh = set(1, {at(8)}).added[0]->index;
  ASSERT_EQ(fresh, 0U) << "a place that one of the other pool had";
  const Choice c = picked(fresh);
  ASSERT_NE(c.endpoint, nullptr);
  EXPECT_EQ(c.target, &config_.models[0].targets[1]);
  EXPECT_EQ(picked(set(0, {at(9)}).added[0]->index).target, &config_.models[0].targets[0]);
}

TEST_F(DispatcherTest, ThePrefixesOfARetiredOneAreForgotten) {
  const Choice first = choose(1);
  dispatcher_->sent(first, request_);
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(choose(i).endpoint, first.endpoint);
  const std::string address = first.endpoint->config->url;
  const uint32_t index = first.endpoint->index;
  std::vector<EndpointConfig> others;
  for (const EndpointConfig& e : config_.upstreams[0].endpoints)
    if (e.url != address) others.push_back(e);
  set(0, others);
  dispatcher_->sent(first, request_);  // a call that still had it
  EXPECT_NE(choose(1).endpoint, first.endpoint);
  fleet_->sweep();
  others.push_back(at(50));
  const Fleet::Change change = set(0, others);
  ASSERT_EQ(change.added[0]->index, index) << "the place is used again";
  std::set<EndpointPtr> seen;
  for (uint64_t i = 0; i < 50; ++i) seen.insert(choose(i).endpoint);
  EXPECT_EQ(seen.size(), 2U) << "the new one has nothing of what the old one had";
}

// What an endpoint says counts in the next decision.
TEST_F(DispatcherTest, ReportsReachTheDecision) {
  config_.models[0].pick.policy = PickPolicy::kLeastLoaded;
  now_ns_ = 1'000 * kMs;
  CapacityReport busy;
  busy.said.waiting = 9;
  busy.at_ns = now_ns_;
  fleet_->of(0)[0]->report = busy;
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(url(i), "2");
  now_ns_ += fresh_ns(config_.upstreams[0].metrics);
  std::set<std::string> seen;
  for (uint64_t i = 0; i < 50; ++i) seen.insert(url(i));
  EXPECT_EQ(seen.size(), 2U);
}

}  // namespace
}  // namespace weir::gateway
