// Policies of tenants on their own: windows, meters, keys, the keys file, tickets.
#include "server/tenants.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <deque>

#include "base/rng.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::server {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

// In no window of 60 s, wherever it begins, more than the limit; what fits by wait_ns does fit
// then.
TEST(RateWindowTest, NeverMoreThanTheLimitInAnyMinute) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RateWindow window;
    window.set_limit(100);
    int64_t now = 0;
    std::deque<std::pair<int64_t, int64_t>> taken;  // time, amount
    for (uint64_t i = 0; i < 400; ++i) {
      now += static_cast<int64_t>(random_u64(seed, 1, i) % (4 * kSecond));
      const auto amount = static_cast<int64_t>(random_u64(seed, 2, i) % 60);
      const int64_t wait = window.wait_ns(amount, now);
      ASSERT_NE(wait, RateWindow::kNever);
      if (wait != 0) {
        if (random_u64(seed, 3, i) % 2 != 0) continue;
        now += wait;  // as a client that heeds Retry-After
        ASSERT_EQ(window.wait_ns(amount, now), 0) << "seed " << seed << " step " << i;
      }
      window.take(amount, now);
      taken.emplace_back(now, amount);
      int64_t sum = 0;
      for (const auto& [at, a] : taken) sum += at > now - 60 * kSecond ? a : 0;
      ASSERT_LE(sum, 100) << "seed " << seed << " step " << i;
    }
  }
}

TEST(RateWindowTest, WhatIsGivenBackCanBeTaken) {
  RateWindow window;
  window.set_limit(10);
  const int64_t slot = window.take(10, 5 * kSecond);
  EXPECT_EQ(window.remaining(6 * kSecond), 0);
  EXPECT_EQ(window.wait_ns(1, 6 * kSecond), (5 + 61 - 6) * kSecond);
  window.give_back(slot, 4, 6 * kSecond);
  EXPECT_EQ(window.remaining(6 * kSecond), 4);
  EXPECT_EQ(window.wait_ns(4, 6 * kSecond), 0);
  EXPECT_EQ(window.reset_ns(6 * kSecond), 60 * kSecond);
  // What has left the window by itself is not given back twice.
  window.give_back(slot, 6, 100 * kSecond);
  EXPECT_EQ(window.remaining(100 * kSecond), 10);
}

TEST(RateWindowTest, WhatNeverFitsSaysSo) {
  RateWindow window;
  EXPECT_EQ(window.wait_ns(1'000'000, 0), 0);  // no limit
  window.set_limit(10);
  EXPECT_EQ(window.wait_ns(11, 0), RateWindow::kNever);
}

TEST(TenantMeterTest, ReservationsReturnAsTheRequestsEnd) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    TenantMeter meter;
    TenantSpec spec;
    spec.tokens_per_min = 1000;
    meter.set_spec(spec);
    int64_t used = 0;
    std::vector<TenantMeter::Reservation> open;
    for (uint64_t i = 0; i < 100; ++i) {  // within one second: nothing leaves the window
      auto r = meter.reserve(static_cast<int64_t>(random_u64(seed, 1, i) % 50), 100, kSecond);
      if (r.ok()) open.push_back(*r);
      if (open.empty() || random_u64(seed, 2, i) % 2 == 0) continue;
      const auto spent = static_cast<int64_t>(random_u64(seed, 3, i)) & 31;
      const int64_t part = std::min(spent, open.back().tokens);
      meter.reconcile(open.back(), part, kSecond);
      used += part;
      open.pop_back();
    }
    int64_t reserved = 0;
    for (const auto& r : open) reserved += r.tokens;
    EXPECT_EQ(meter.tokens(kSecond).remaining, 1000 - used - reserved);
  }
}

TEST(TenantMeterTest, NamesTheLimitAndWhenToRetry) {
  TenantMeter meter;
  TenantSpec spec;
  spec.requests_per_min = 2;
  spec.concurrent = 2;
  spec.tokens_per_min = 100;
  meter.set_spec(spec);
  ASSERT_TRUE(meter.begin(kSecond).ok());
  ASSERT_TRUE(meter.begin(kSecond).ok());
  Status third = meter.begin(kSecond);
  EXPECT_NE(third.error().message.find("concurrent"), std::string::npos);
  meter.end();
  third = meter.begin(2 * kSecond);
  EXPECT_EQ(third.error().code, ErrorCode::kRateLimitExceeded);
  EXPECT_NE(third.error().message.find("requests_per_min"), std::string::npos);
  EXPECT_DOUBLE_EQ(third.error().retry_after_s, 60);
  meter.forget(kSecond, 2 * kSecond);
  EXPECT_TRUE(meter.begin(2 * kSecond).ok());

  ASSERT_TRUE(meter.reserve(30, 50, kSecond).ok());
  EXPECT_EQ(meter.reserve(10, 11, 2 * kSecond).error().code, ErrorCode::kRateLimitExceeded);
  // No retry would help: not 429.
  EXPECT_EQ(meter.reserve(10, 91, kSecond).error().code, ErrorCode::kMaxOutputTokensExceeded);
  EXPECT_EQ(meter.reserve(100, 1, kSecond).error().code, ErrorCode::kMaxInputTokensExceeded);
}

TEST(KeyHashTest, MatchesThePublishedVectors) {
  // FIPS 180-4, "abc"; RFC 4231 case 2.
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(*parse_digest(to_hex(sha256("abc"))), sha256("abc"));
  EXPECT_FALSE(parse_digest(std::string(63, 'a')).ok());
  EXPECT_FALSE(parse_digest(std::string(62, 'a') + "zz").ok());
}

TEST(KeyHashTest, Argon2idIsBounded) {
  const auto encoded = make_argon2id("a key");
  ASSERT_TRUE(encoded.ok()) << encoded.error().message;
  EXPECT_TRUE(check_argon2id(*encoded).ok());
  EXPECT_TRUE(verify_argon2id(*encoded, "a key"));
  EXPECT_FALSE(verify_argon2id(*encoded, "a kez"));
  for (const char* bad :
       {"", "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA", "$argon2id$v=19$m=9999999,t=1,p=1$a$b",
        "$argon2id$v=19$m=8,t=1000,p=1$a$b", "$argon2id$v=19$m=8,t=1,p=64$a$b",
        "$argon2id$v=19$m=8,t=1$a$b", "$argon2id$v=19$m=-8,t=1,p=1$a$b"})
    EXPECT_FALSE(check_argon2id(bad).ok()) << bad;
  // Cut anywhere: an error or a key that does not match, no crash.
  for (size_t n = 0; n < encoded->size(); ++n)
    EXPECT_FALSE(verify_argon2id(encoded->substr(0, n), "a key"));
}

std::string keys_error(const std::string& text) {
  const auto r = parse_keys_text(text, "keys.yaml");
  return r.ok() ? "" : r.error().message;
}

std::string entry(const std::string& members) {
  return "tenants:\n  acme: {}\nkeys:\n  - {tenant: acme, " + members + "}\n";
}

TEST(KeysFileTest, ReadsTenantsAndKeys) {
  const std::string hash = to_hex(sha256("k"));
  const auto r = parse_keys_text(
      "tenants:\n  acme: {weight: 2, class: batch, tokens_per_min: 1000, models: [a, b]}\n  b:\n"
      "keys:\n  - {tenant: acme, id: one, sha256: " +
          hash + ", rights: [admin, metrics]}\n",
      "keys.yaml");
  ASSERT_TRUE(r.ok()) << r.error().message;
  ASSERT_EQ(r->tenants.size(), 2U);
  EXPECT_EQ(r->tenants[0].weight, 2);
  EXPECT_TRUE(r->tenants[0].may_use("b"));
  EXPECT_FALSE(r->tenants[0].may_use("c"));
  EXPECT_EQ(r->keys[0].rights, 6U);
}

TEST(KeysFileTest, NamesFileLineAndNearest) {
  const std::string hash = "sha256: " + to_hex(sha256("k"));
  EXPECT_EQ(keys_error("tenants:\n  a: {wieght: 2}\n"),
            "keys.yaml:2: unknown key \"wieght\"; the nearest is \"weight\"");
  EXPECT_EQ(keys_error("tenants:\n  acme:\nkeys:\n  - {tenant: amce, id: x, " + hash + "}\n"),
            "keys.yaml:4: tenant \"amce\" is not under tenants; the nearest is \"acme\"");
  EXPECT_EQ(keys_error(entry("id: x")), "keys.yaml:4: a key has either sha256 or argon2id");
  EXPECT_EQ(keys_error(entry("id: x, sha256: abc")),
            "keys.yaml:4: sha256 must be 64 hexadecimal digits");
  EXPECT_EQ(keys_error(entry("id: x, rights: [root], " + hash)),
            "keys.yaml:4: unknown right \"root\"; there are inference, admin, metrics");
  EXPECT_EQ(keys_error("tenant: {}\n"),
            "keys.yaml:1: unknown key \"tenant\"; there are tenants and keys");
  EXPECT_EQ(keys_error("tenants: {\"a b\": {}}\n"),
            "keys.yaml:1: a tenant's name has 1 to 64 letters, digits and - _ .");
}

TEST(KeysFileTest, CutAtEveryByteGivesAFileOrAnError) {
  const std::string text = entry("id: x, sha256: \"" + to_hex(sha256("k")) + "\", rights: [admin]");
  for (size_t n = 0; n <= text.size(); ++n) {
    const std::string e = keys_error(text.substr(0, n));
    EXPECT_TRUE(e.empty() || e.starts_with("keys.yaml:")) << e;
  }
}

TEST(KeysFileTest, TellsWeakPermissions) {
  const os::TempDir dir;
  const std::string path = dir.path() + "/keys.yaml";
  ASSERT_TRUE(os::write_file_atomic(path, std::string_view("keys:\n")).ok());
  for (const auto& [mode, weak] : {std::pair(0600, false), std::pair(0640, false),
                                   std::pair(0644, true), std::pair(0660, true)}) {
    ASSERT_EQ(::chmod(path.c_str(), static_cast<mode_t>(mode)), 0);
    EXPECT_EQ(!weak_permissions(path).empty(), weak) << mode;
  }
}

class TenantsTest : public testing::Test {
 protected:
  TenantsTest() : tenants_(clock_, registry_, "a secret of this process") {}

  http::Headers with(const std::string& key) { return {{"authorization", "Bearer " + key}}; }
  // The file of one tenant with one key; its plain text is the result.
  std::string load(TenantSpec spec, bool argon2 = false, unsigned rights = 1) {
    auto k = make_key(spec.name, argon2);
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
  EXPECT_EQ(*tenants_.rate_headers(access(key)).find("x-ratelimit-reset-requests"), "1m1s");
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
