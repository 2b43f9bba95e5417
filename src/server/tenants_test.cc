// Tenants on their own: keys with their rights, tickets, reloads.
#include "server/tenants.h"

#include <gtest/gtest.h>

namespace weir::server {
namespace {

class TenantsTest : public testing::Test {
 protected:
  TenantsTest() : tenants_(clock_, registry_, "a secret of this process") {}

  http::Headers with(const std::string& key) { return {{"authorization", "Bearer " + key}}; }
  // The file of one tenant with one key; its plain text is the result.
  std::string load(TenantSpec spec, bool argon2 = false, unsigned rights = 1) {
    auto k = access::make_key(spec.name, argon2);
    EXPECT_TRUE(k.ok());
    k->entry.rights = rights;
    KeysFile file;
    file.tenants.push_back(std::move(spec));
    file.keys.push_back(k->entry);
    tenants_.load(std::move(file), {}, true);
    return k->key;
  }
  static TenantSpec spec(const std::string& name) {
    TenantSpec s;
    s.name = name;
    return s;
  }
  Access access(const std::string& key) {
    auto a = tenants_.check(with(key), Right::kInference);
    EXPECT_TRUE(a.ok() && a->has_value());
    return **a;
  }
  std::shared_ptr<Ticket> begin(const Access& a) {
    auto t = tenants_.begin(a, {});
    EXPECT_TRUE(t.ok());
    return t.ok() ? *t : nullptr;
  }

  ManualClock clock_;
  telemetry::Registry registry_;
  Tenants tenants_;
};

TEST_F(TenantsTest, WithoutKeysEverybodyMayAllButAdmin) {
  EXPECT_TRUE(tenants_.check({}, Right::kInference).ok());
  EXPECT_TRUE(tenants_.check(with("anything"), Right::kInference).ok());
  EXPECT_EQ(tenants_.check({}, Right::kAdmin).error().code, ErrorCode::kInvalidApiKey);
}

TEST_F(TenantsTest, KeysAreCheckedWithTheirRights) {
  const std::string key = load(spec("acme"));
  EXPECT_EQ(access(key).spec->name, "acme");
  EXPECT_EQ(tenants_.check(with(key), Right::kAdmin).error().code, ErrorCode::kPermissionDenied);
  for (std::string bad : {std::string(), key.substr(1), key + "x", std::string(5000, 'x')})
    EXPECT_EQ(tenants_.check(with(bad), Right::kInference).error().code, ErrorCode::kInvalidApiKey);
  EXPECT_TRUE(tenants_.check({{"x-api-key", key}}, Right::kInference).ok());
}

TEST_F(TenantsTest, Argon2idIsComputedOnceAKey) {
  const std::string key = load(spec("acme"), /*argon2=*/true);
  auto first = tenants_.check(with(key), Right::kInference);
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(first->has_value()) << "known before it was computed";
  // The id alone costs nothing that was not asked for.
  EXPECT_FALSE(tenants_.check(with("weir_00000000_x"), Right::kInference).ok());
  ASSERT_TRUE(tenants_.check_slow(with(key), Right::kInference).ok());
  EXPECT_EQ(access(key).spec->name, "acme");
  EXPECT_TRUE(tenants_.check(with(key + "x"), Right::kInference).ok());  // slow again, and wrong
  EXPECT_FALSE(tenants_.check_slow(with(key + "x"), Right::kInference).ok());
}

TEST_F(TenantsTest, WrongKeysCannotBuyArgon2idWithoutEnd) {
  const std::string key = load(spec("acme"), /*argon2=*/true);
  int refused = 0;
  for (int i = 0; i < 8; ++i) {
    const auto r = tenants_.check_slow(with(key + std::to_string(i)), Right::kInference);
    ASSERT_FALSE(r.ok());
    refused += r.error().code == ErrorCode::kRateLimitExceeded ? 1 : 0;
  }
  EXPECT_EQ(refused, 3);
  clock_.advance_ms(1000);
  EXPECT_TRUE(tenants_.check_slow(with(key), Right::kInference).ok());
}

TEST_F(TenantsTest, ATicketReservesAndGivesBack) {
  TenantSpec s = spec("acme");
  s.tokens_per_min = 1000;
  const Access a = access(load(s));
  engine::Request q;
  q.prompt.assign(100, 1);
  q.max_tokens = 300;
  q.n = 2;
  {
    const auto ticket = begin(a);
    ASSERT_TRUE(ticket->reserve(q, 4096).ok());
    EXPECT_EQ(q.tenant.name, "acme");
    EXPECT_EQ(*ticket->rate_headers().find("x-ratelimit-remaining-tokens"), "300");
    EXPECT_EQ(tenants_.active().at(0).state, "waiting");
    engine::Delivery d;
    d.done = true;
    d.usage.prompt_tokens = 100;
    d.usage.completion_tokens = 20;
    ticket->on_delivery(d);
    EXPECT_EQ(*ticket->rate_headers().find("x-ratelimit-remaining-tokens"), "880");
  }
  EXPECT_EQ(*tenants_.rate_headers(a).find("x-ratelimit-remaining-tokens"), "880");
  {
    const auto ticket = begin(a);  // refused by the engine: no delivery ever
    ASSERT_TRUE(ticket->reserve(q, 4096).ok());
  }
  EXPECT_EQ(*tenants_.rate_headers(a).find("x-ratelimit-remaining-tokens"), "880");
  EXPECT_TRUE(tenants_.active().empty());
}

TEST_F(TenantsTest, WithoutMaxTokensTheMinuteBoundsTheOutput) {
  TenantSpec s = spec("acme");
  s.tokens_per_min = 1000;
  const Access a = access(load(s));
  engine::Request q;
  q.prompt.assign(100, 1);
  const auto ticket = begin(a);
  ASSERT_TRUE(ticket->reserve(q, 4096).ok());
  EXPECT_EQ(q.max_tokens, 900);
  EXPECT_EQ(*ticket->rate_headers().find("x-ratelimit-remaining-tokens"), "0");
}

TEST_F(TenantsTest, LimitsOfTokensPerRequest) {
  TenantSpec s = spec("acme");
  s.max_input_tokens = 10;
  s.max_output_tokens = 20;
  s.service_class = "batch";
  const auto ticket = begin(access(load(s)));
  engine::Request q;
  q.prompt.assign(11, 1);
  const Status refused = ticket->reserve(q, 100);
  EXPECT_EQ(refused.error().code, ErrorCode::kMaxInputTokensExceeded);
  EXPECT_EQ(refused.error().param, "prompt");
  engine::Request texts;
  texts.texts.emplace_back(11, 1);
  EXPECT_EQ(ticket->reserve(texts, 100).error().param, "input");
  q.prompt.resize(10);
  q.max_tokens = 21;
  EXPECT_EQ(ticket->reserve(q, 100).error().code, ErrorCode::kMaxOutputTokensExceeded);
  q.max_tokens = 0;
  ASSERT_TRUE(ticket->reserve(q, 100).ok());
  EXPECT_EQ(q.max_tokens, 20);
  EXPECT_EQ(q.service_class, engine::ServiceClass::kBatch);
}

TEST_F(TenantsTest, ThePlaceIsFreeWhenTheAnswerIsOut) {
  TenantSpec s = spec("acme");
  s.concurrent = 1;
  const Access a = access(load(s));
  const auto ticket = begin(a);
  auto place = ticket->take_place();
  EXPECT_EQ(tenants_.begin(a, {}).error().code, ErrorCode::kRateLimitExceeded);
  place.reset();
  EXPECT_TRUE(tenants_.begin(a, {}).ok());
}

TEST_F(TenantsTest, AReloadKeepsWhatWasTaken) {
  TenantSpec s = spec("acme");
  s.requests_per_min = 5;
  const Access before = access(load(s));
  for (int i = 0; i < 4; ++i) (void)begin(before);
  s.requests_per_min = 10;
  const std::string key = load(s);
  EXPECT_EQ(*tenants_.rate_headers(access(key)).find("x-ratelimit-remaining-requests"), "6");
  EXPECT_EQ(*tenants_.rate_headers(access(key)).find("x-ratelimit-reset-requests"), "1m0s");
}

// A file that lost its keys, or was taken out of the configuration, does not open the server.
TEST_F(TenantsTest, NoReloadOpensAServerThatAskedForKeys) {
  EXPECT_TRUE(tenants_.check({}, Right::kInference).ok()) << "nobody has asked for keys";
  const std::string key = load(spec("acme"));
  EXPECT_FALSE(tenants_.check({}, Right::kInference).ok());
  tenants_.load({}, {}, true);
  EXPECT_FALSE(tenants_.check({}, Right::kInference).ok());
  EXPECT_FALSE(tenants_.check(with(key), Right::kInference).ok()) << "the key was revoked";
  tenants_.load({}, {}, false);
  EXPECT_FALSE(tenants_.check({}, Right::kInference).ok());
}

}  // namespace
}  // namespace weir::server
