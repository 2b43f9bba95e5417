// How keys are kept, and the file of tenants and keys.
#include "access/keys_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "access/key_hash.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::access {
namespace {

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

}  // namespace
}  // namespace weir::access
