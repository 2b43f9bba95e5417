#include "kv/snapshot.h"

#include <gtest/gtest.h>

#include <vector>

#include "os/temp_dir.h"

namespace weir::kv {
namespace {

const SnapshotIdentity kIdentity{{1, 2}, "avx2 f16", 4, 24};

struct Seen {
  HashKey key;
  std::vector<int32_t> tokens;
  std::vector<int32_t> before;
  std::vector<std::byte> bytes;
  SnapshotSink sink() {
    return {[this](const HashKey& k) { key = k; },
            [this](const SnapshotPage& p) -> Status {
              tokens.insert(tokens.end(), p.tokens.begin(), p.tokens.end());
              bytes.insert(bytes.end(), p.bytes.begin(), p.bytes.end());
              before.push_back(p.before);
              return {};
            }};
  }
};

std::string written(const os::TempDir& dir, int pages = 3) {
  const std::string path = dir.file("cache.kv");
  auto w = SnapshotWriter::create(path, kIdentity, {5, 6});
  EXPECT_TRUE(w.ok());
  for (int32_t i = 0; i < pages; ++i) {
    const std::vector<int32_t> tokens(4, 100 + i);
    const std::vector<std::byte> bytes(24, static_cast<std::byte>(i));
    EXPECT_TRUE(w->add({{9, 9}, i - 1, tokens, bytes}).ok());
  }
  EXPECT_TRUE(w->finish().ok());
  return os::read_file(path, 1 << 20).value();
}

Status read(const std::string& text, Seen& seen, const SnapshotIdentity& identity = kIdentity) {
  return read_snapshot(std::as_bytes(std::span(text)), identity, seen.sink());
}

TEST(Snapshot, TraitsThatAreCutCouldLookAlike) {
  const os::TempDir dir;
  SnapshotIdentity identity = kIdentity;
  identity.traits = std::string(kSnapshotTraitsBytes + 1, 'x');
  EXPECT_FALSE(SnapshotWriter::create(dir.file("cache.kv"), identity, {5, 6}).ok());
  identity.traits.pop_back();
  EXPECT_TRUE(SnapshotWriter::create(dir.file("cache.kv"), identity, {5, 6}).ok());
}

TEST(Snapshot, ReadsWhatItWrote) {
  const os::TempDir dir;
  Seen seen;
  const Status ok = read(written(dir), seen);
  ASSERT_TRUE(ok.ok()) << ok.error().message;
  EXPECT_EQ(seen.key, (HashKey{5, 6}));
  EXPECT_EQ(seen.before, (std::vector<int32_t>{-1, 0, 1}));
  EXPECT_EQ(seen.tokens,
            (std::vector<int32_t>{100, 100, 100, 100, 101, 101, 101, 101, 102, 102, 102, 102}));
  EXPECT_EQ(seen.bytes[30], std::byte{1});
  Seen none;
  EXPECT_TRUE(read(written(dir, 0), none).ok());
}

TEST(Snapshot, RefusesOneOfAnotherModelOrShapeAndSaysWhy) {
  const os::TempDir dir;
  const std::string text = written(dir);
  const auto refused = [&](const SnapshotIdentity& identity, const std::string& why) {
    Seen seen;
    const Status s = read(text, seen, identity);
    ASSERT_FALSE(s.ok());
    EXPECT_EQ(s.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(s.error().message.find(why), std::string::npos) << s.error().message;
    EXPECT_TRUE(seen.tokens.empty());
  };
  refused({{1, 3}, "avx2 f16", 4, 24}, "another model");
  refused({{1, 2}, "avx512 f16", 4, 24}, "instruction set");
  refused({{1, 2}, "avx2 f16", 8, 24}, "another size");
  refused({{1, 2}, "avx2 f16", 4, 48}, "another size");
}

TEST(Snapshot, CutAnywhereItIsRefused) {
  const os::TempDir dir;
  const std::string text = written(dir);
  for (size_t n = 0; n < text.size(); ++n) {
    Seen seen;
    ASSERT_FALSE(read(text.substr(0, n), seen).ok()) << n;
  }
  Seen seen;
  EXPECT_FALSE(read(text + "x", seen).ok());
}

TEST(Snapshot, WithAnyBitWrongItIsRefused) {
  const os::TempDir dir;
  const std::string text = written(dir);
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    Seen seen;
    ASSERT_FALSE(read(damaged, seen).ok()) << "bit " << bit;
  }
}

TEST(Snapshot, SectionsKeepTheirOrder) {
  const os::TempDir dir;
  std::string text = written(dir);
  const size_t page = 4 + 4 + 16 + 16 + 24 + 16;
  const size_t header = text.size() - 3 * page - 24;
  std::string swapped = text;
  swapped.replace(header, page, text.substr(header + page, page));
  swapped.replace(header + page, page, text.substr(header, page));
  Seen seen;
  EXPECT_FALSE(read(swapped, seen).ok());
  text.erase(header + 2 * page, page);
  EXPECT_FALSE(read(text, seen).ok());
}

TEST(Snapshot, AnUnfinishedOneLeavesTheOldFile) {
  const os::TempDir dir;
  const std::string before = written(dir);
  {
    auto w = SnapshotWriter::create(dir.file("cache.kv"), kIdentity, {7, 7});
    ASSERT_TRUE(w.ok());
  }
  EXPECT_EQ(os::read_file(dir.file("cache.kv"), 1 << 20).value(), before);
}

}  // namespace
}  // namespace weir::kv
