// Manifests, pointers, bundles: what was changed anywhere is found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "ops/release/bundle.h"
#include "ops/release/details_text.h"
#include "ops/release/keys.h"
#include "ops/release/pointer.h"
#include "ops/release/sha256.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

Manifest small_manifest() {
  Manifest m;
  m.created_unix_s = 1'700'000'000;
  m.name = "first";
  m.who = "a@b";
  m.from = "stage";
  m.to = "prod";
  m.config_sha256 = std::string(64, 'c');
  m.numerics = "vllm 0.33.0";
  m.model = {"m.gguf", "m.gguf", std::string(64, 'a'), 5};
  return m;
}

std::vector<BundleFile> small_files() {
  return {{"config/vllm/serve.sh", "vllm serve x\n"}, {"review.json", "{}\n"}};
}

std::string text_of(const std::string& path) {
  const auto text = os::read_file(path, 1 << 20);
  return text.ok() ? *text : "";
}

void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(DetailsText, IsOneLineForPeople) {
  EXPECT_EQ(details_text(R"({"from":"stage","name":"","previous":")" + std::string(64, 'a') +
                         R"(","seconds":1.23456,"model":{"files_checked":3,"same":true},)"
                         R"("why":["a","b\nc"],"none":null})"),
            "from stage, previous aaaaaaaaaaaa, seconds 1.235, model files checked 3, model same "
            "yes, why a; b c");
  EXPECT_EQ(details_text("{}"), "");
  EXPECT_EQ(details_text("no\nJSON"), "no JSON");
}

TEST(Sha256, KnownAnswer) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const os::TempDir dir;
  put(dir.file("a"), "abc");
  const auto hash = sha256_of_file(dir.file("a"));
  ASSERT_TRUE(hash.ok());
  EXPECT_EQ(hash->sha256, sha256_hex("abc"));
  EXPECT_EQ(hash->bytes, 3u);
  const auto folder = sha256_of_folder(dir.path());
  ASSERT_TRUE(folder.ok());
  EXPECT_EQ(folder->sha256, sha256_hex(sha256_hex("abc") + " a\n"));
  EXPECT_FALSE(sha256_of_file(dir.file("none")).ok());
}

// A device has no end, and a pipe may have no writer.
TEST(Sha256, OfWhatIsNoFile) {
  const os::TempDir dir;
  ASSERT_EQ(::mkfifo(dir.file("pipe").c_str(), 0600), 0);
  for (const std::string& path : {std::string("/dev/zero"), dir.file("pipe"), dir.path()}) {
    const auto hash = sha256_of_file(path);
    ASSERT_FALSE(hash.ok()) << path;
    EXPECT_EQ(hash.error().code, ErrorCode::kUsage);
    EXPECT_NE(hash.error().message.find("is no file"), std::string::npos);
  }
}

TEST(Sha256, OfAFolderWithFoldersAndLinks) {
  namespace fs = std::filesystem;
  const os::TempDir dir;
  const std::string m = dir.file("m");
  fs::create_directories(m + "/sub/.cache");
  put(m + "/a", "abc");
  put(m + "/sub/b", "b");
  put(m + "/sub/.cache/c", "left out");
  const auto hash = sha256_of_folder(m);
  ASSERT_TRUE(hash.ok()) << hash.error().message;
  EXPECT_EQ(hash->sha256, sha256_hex(sha256_hex("abc") + " a\n" + sha256_hex("b") + " sub/b\n"));
  EXPECT_EQ(hash->bytes, 4u);
  fs::create_symlink("sub/b", m + "/inside");
  EXPECT_EQ(sha256_of_folder(m)->bytes, 5u);
  put(dir.file("out"), "x");
  fs::create_symlink("../../out", m + "/sub/link");
  EXPECT_EQ(sha256_of_folder(m).error().code, ErrorCode::kUsage);
  EXPECT_NE(sha256_of_folder(m).error().message.find("leads out of the folder"), std::string::npos);
  fs::remove(m + "/sub/link");
  fs::create_directory_symlink("sub", m + "/again");
  EXPECT_FALSE(sha256_of_folder(m).ok()) << "a link to a folder";
}

TEST(Keys, SignReadAndRefuse) {
  const os::TempDir dir;
  const SigningKey key = SigningKey::make();
  ASSERT_TRUE(key.write_new(dir.file("k")).ok());
  EXPECT_FALSE(key.write_new(dir.file("k")).ok()) << "an existing key is not replaced";
  struct stat about {};
  ASSERT_EQ(::stat(dir.file("k").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  const auto again = SigningKey::read(dir.file("k"));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->public_key().hex(), key.public_key().hex());
  const std::string signature = key.sign("p", "m");
  EXPECT_TRUE(again->public_key().verify("p", "m", signature));
  EXPECT_FALSE(key.public_key().verify("q", "m", signature));
  EXPECT_FALSE(key.public_key().verify("p", "n", signature));
  EXPECT_FALSE(key.public_key().verify("p", "m", ""));
  EXPECT_FALSE(SigningKey::make().public_key().verify("p", "m", signature)) << "another key";
  for (size_t i = 0; i < signature.size(); ++i) {
    std::string bad = signature;
    bad[i] = bad[i] == '0' ? '1' : '0';
    EXPECT_FALSE(key.public_key().verify("p", "m", bad)) << i;
  }
  ::chmod(dir.file("k").c_str(), 0640);
  EXPECT_THAT(SigningKey::read(dir.file("k")).error().message, HasSubstr("chmod 600"));
}

TEST(Keys, FilesThatAreNone) {
  const os::TempDir dir;
  const std::string text = SigningKey::make().public_key().file_text();
  put(dir.file("p"), text);
  EXPECT_TRUE(PublicKey::read(dir.file("p")).ok());
  for (size_t n = 0; n < text.size(); ++n) {
    put(dir.file("p"), text.substr(0, n));
    EXPECT_FALSE(PublicKey::read(dir.file("p")).ok()) << n;
  }
  put(dir.file("p"), text + "\n");
  EXPECT_FALSE(PublicKey::read(dir.file("p")).ok());
}

TEST(Manifest, ReadsBackAndIsExact) {
  Manifest m = small_manifest();
  m.files = {{"config/a", std::string(64, '1'), 3}, {"review.json", std::string(64, '2'), 4}};
  const std::string text = manifest_text(m);
  const auto back = parse_manifest(text, "m");
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(manifest_text(*back), text);
  EXPECT_EQ(back->file("config/a")->bytes, 3u);
  for (size_t n = 0; n < text.size(); ++n)
    EXPECT_FALSE(parse_manifest(text.substr(0, n), "m").ok()) << n;
  for (const char* path : {"", "../x", "/etc/passwd", "a//b", "a/./b", "a/..", "a b", "a\n"})
    EXPECT_FALSE(is_release_path(path)) << path;
  m.files[0].path = "review.json";
  EXPECT_THAT(parse_manifest(manifest_text(m), "m").error().message, HasSubstr("order"));
}

TEST(Pointer, EveryByteCounts) {
  const SigningKey key = SigningKey::make();
  const Pointer pointer{"prod", std::string(64, 'a'), 7, std::string(64, 'b')};
  const std::string text = pointer_text(pointer, key);
  const PublicKey pub = key.public_key();
  const auto back = parse_pointer(text, "p", "prod", pub);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->log_seq, 7);
  EXPECT_FALSE(parse_pointer(text, "p", "stage", pub).ok()) << "another environment's";
  EXPECT_FALSE(parse_pointer(text, "p", "prod", SigningKey::make().public_key()).ok());
  for (size_t i = 0; i < text.size(); ++i) {
    std::string bad = text;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(parse_pointer(bad, "p", "prod", pub).ok()) << i;
    EXPECT_FALSE(parse_pointer(text.substr(0, i), "p", "prod", pub).ok()) << i;
  }
}

class Bundle : public ::testing::Test {
 protected:
  void SetUp() override {
    auto id = write_bundle(dir_.path(), small_manifest(), small_files(), key_);
    ASSERT_TRUE(id.ok()) << id.error().message;
    id_ = *id;
  }
  std::string at(const std::string& name) const { return dir_.file(id_ + "/" + name); }
  std::string problem() const {
    const auto opened = open_bundle(dir_.path(), id_, key_.public_key());
    return opened.ok() ? "" : opened.error().message;
  }

  os::TempDir dir_;
  SigningKey key_ = SigningKey::make();
  std::string id_;
};

TEST_F(Bundle, HoldsAndIsFound) {
  EXPECT_EQ(problem(), "");
  EXPECT_EQ(bundle_ids(dir_.path()), std::vector<std::string>{id_});
  EXPECT_EQ(find_bundle(dir_.path(), id_.substr(0, 6)).value(), id_);
  EXPECT_FALSE(find_bundle(dir_.path(), id_.substr(0, 3)).ok());
  EXPECT_FALSE(find_bundle(dir_.path(), "").ok());
  EXPECT_EQ(write_bundle(dir_.path(), small_manifest(), small_files(), key_).value(), id_);
  EXPECT_THAT(open_bundle(dir_.path(), std::string(64, '0'), key_.public_key()).error().message,
              HasSubstr("holds no release"));
  EXPECT_FALSE(open_bundle(dir_.path(), "../x", key_.public_key()).ok());
}

TEST_F(Bundle, EveryByteOfEveryFileCounts) {
  for (const char* name :
       {"manifest.json", "manifest.sig", "config/vllm/serve.sh", "review.json"}) {
    const std::string text = text_of(at(name));
    ASSERT_FALSE(text.empty()) << name;
    for (size_t i = 0; i < text.size(); ++i) {
      std::string bad = text;
      bad[i] = static_cast<char>(bad[i] ^ 4);
      put(at(name), bad);
      ASSERT_NE(problem(), "") << name << " byte " << i;
      put(at(name), text.substr(0, i));
      ASSERT_NE(problem(), "") << name << " cut at " << i;
    }
    put(at(name), text);
    ASSERT_EQ(problem(), "") << name;
  }
}

TEST_F(Bundle, FilesThatCameWentOrAreLinks) {
  put(at("config/more"), "x");
  EXPECT_THAT(problem(), HasSubstr("config/more does not belong"));
  fs::remove(at("config/more"));
  fs::rename(at("review.json"), at("elsewhere"));
  EXPECT_THAT(problem(), HasSubstr("review.json is missing"));
  fs::create_symlink("elsewhere", at("review.json"));
  EXPECT_THAT(problem(), HasSubstr("no plain file"));
}

TEST_F(Bundle, WhatAKilledRunLeftIsNoRelease) {
  fs::create_directories(dir_.file(".unfinished/config"));
  put(dir_.file(".unfinished/config/old"), "x");
  EXPECT_EQ(bundle_ids(dir_.path()), std::vector<std::string>{id_});
  Manifest next = small_manifest();
  next.name = "next";
  const auto id = write_bundle(dir_.path(), next, small_files(), key_);
  ASSERT_TRUE(id.ok()) << id.error().message;
  EXPECT_TRUE(open_bundle(dir_.path(), *id, key_.public_key()).ok()) << "config/old is not in it";
  EXPECT_FALSE(fs::exists(dir_.file(".unfinished")));
}

TEST_F(Bundle, AnotherKey) {
  const auto opened = open_bundle(dir_.path(), id_, SigningKey::make().public_key());
  EXPECT_THAT(opened.error().message, HasSubstr("manifest.sig does not hold"));
}

TEST_F(Bundle, NamesThatLeaveTheFolderAreRefused) {
  for (const char* path : {"../x", "config/a b", "/x", ""})
    EXPECT_FALSE(write_bundle(dir_.path(), small_manifest(), {{path, "x"}}, key_).ok()) << path;
}

TEST_F(Bundle, TheModelIsHashed) {
  put(dir_.file("m.gguf"), "model");
  ReleaseModel model{"m.gguf", "m.gguf", sha256_hex("model"), 5};
  EXPECT_TRUE(check_model(dir_.path(), model).ok());
  put(dir_.file("m.gguf"), "modem");
  EXPECT_THAT(check_model(dir_.path(), model).error().message, HasSubstr("another model"));
  model.bytes = 0;  // of a repository: the engine fetches it by its commit
  EXPECT_TRUE(check_model(dir_.path(), model).ok());
}

}  // namespace
}  // namespace weir::ops
