#include "os/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "os/mapped_file.h"
#include "os/temp_dir.h"

namespace weir::os {
namespace {

using ::testing::HasSubstr;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

size_t entries(const std::string& directory) {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++n;
  return n;
}

TEST(ReadFile, GivesTheContents) {
  const TempDir dir;
  const std::string text(100'000, 'x');
  std::ofstream(dir.file("a")) << text;
  const auto read = read_file(dir.file("a"), text.size());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, text);
}

TEST(ReadFile, RefusesMoreThanTheBound) {
  const TempDir dir;
  std::ofstream(dir.file("a")) << "12345";
  const auto read = read_file(dir.file("a"), 4);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::kLimit);
  EXPECT_THAT(read.error().message, HasSubstr(dir.file("a")));
}

TEST(ReadFile, NamesWhatIsMissingOrADirectory) {
  const TempDir dir;
  EXPECT_EQ(read_file(dir.file("none"), 10).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_file(dir.path(), 10).error().code, ErrorCode::kIo);
}

// A writer that has opened the pipe and not written yet is waited for.
TEST(ReadFile, WaitsForThePartsOfAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::thread writer([&] {
    for (const char* part : {"one ", "two"}) {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      EXPECT_EQ(write(ends[1], part, std::strlen(part)), static_cast<ssize_t>(std::strlen(part)));
    }
    close(ends[1]);
  });
  const auto text = read_file("/proc/self/fd/" + std::to_string(ends[0]), 100);
  writer.join();
  close(ends[0]);
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(*text, "one two");
}

TEST(WriteFileAtomic, ReplacesAndKeepsPermissions) {
  const TempDir dir;
  const std::string path = dir.file("a");
  ASSERT_TRUE(write_file_atomic(path, "old").ok());
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  ASSERT_TRUE(write_file_atomic(path, "new text").ok());
  EXPECT_EQ(*read_file(path, 100), "new text");
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640U);
  EXPECT_EQ(entries(dir.path()), 1U);
}

TEST(WriteFileAtomic, SaysWhyItCannot) {
  const TempDir dir;
  const Status missing = write_file_atomic(dir.file("no/such/dir"), "x");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  const Status directory = write_file_atomic(dir.path(), "x");
  ASSERT_FALSE(directory.ok());
  EXPECT_THAT(directory.error().message, HasSubstr("not a file"));
}

TEST(AtomicFile, WithoutCommitLeavesTheOldFile) {
  const TempDir dir;
  const std::string path = dir.file("a");
  ASSERT_TRUE(write_file_atomic(path, "old").ok());
  {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write(std::as_bytes(std::span("half", 4))).ok());
    EXPECT_EQ(file->written_bytes(), 4U);
    EXPECT_EQ(entries(dir.path()), 2U);
    EXPECT_EQ(*read_file(path, 100), "old");
  }
  EXPECT_EQ(*read_file(path, 100), "old");
  EXPECT_EQ(entries(dir.path()), 1U);
}

TEST(AtomicFile, TwoWritersDoNotMix) {
  const TempDir dir;
  const std::string path = dir.file("a");
  auto one = AtomicFile::create(path);
  auto two = AtomicFile::create(path);
  ASSERT_TRUE(one.ok() && two.ok());
  ASSERT_TRUE(one->write(std::as_bytes(std::span("one", 3))).ok());
  ASSERT_TRUE(two->write(std::as_bytes(std::span("two", 3))).ok());
  ASSERT_TRUE(one->commit().ok());
  EXPECT_EQ(*read_file(path, 100), "one");
  ASSERT_TRUE(two->commit().ok());
  EXPECT_EQ(*read_file(path, 100), "two");
  EXPECT_EQ(entries(dir.path()), 1U);
}

TEST(MappedFile, ShowsTheBytesAlsoAfterDontNeedAndMove) {
  const TempDir dir;
  std::string text(20'000, 'a');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 26);
  ASSERT_TRUE(write_file_atomic(dir.file("a"), text).ok());
  auto opened = MappedFile::open(dir.file("a"));
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(text_of(opened->bytes()), text);
  const std::byte* address = opened->bytes().data();
  opened->will_need();
  opened->dont_need();
  opened->dont_need(opened->bytes().subspan(10, 9'000));
  opened->dont_need(std::as_bytes(std::span(text)));  // not ours: ignored
  const MappedFile moved = std::move(opened).value();
  EXPECT_EQ(moved.bytes().data(), address);
  EXPECT_EQ(text_of(moved.bytes()), text);
  EXPECT_EQ(text[0], 'a');
}

TEST(MappedFile, OutlivesTheReplacementOfItsFile) {
  const TempDir dir;
  ASSERT_TRUE(write_file_atomic(dir.file("a"), "old").ok());
  const auto mapped = MappedFile::open(dir.file("a"));
  ASSERT_TRUE(mapped.ok());
  ASSERT_TRUE(write_file_atomic(dir.file("a"), "new").ok());
  EXPECT_EQ(text_of(mapped->bytes()), "old");
}

TEST(MappedFile, EmptyFileIsEmpty) {
  const TempDir dir;
  ASSERT_TRUE(write_file_atomic(dir.file("a"), "").ok());
  const auto mapped = MappedFile::open(dir.file("a"));
  ASSERT_TRUE(mapped.ok());
  EXPECT_TRUE(mapped->bytes().empty());
  mapped->dont_need();
}

TEST(MappedFile, NamesWhatIsNotAFile) {
  const TempDir dir;
  EXPECT_EQ(MappedFile::open(dir.file("none")).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(MappedFile::open(dir.path()).error().message, HasSubstr("a directory"));
  EXPECT_THAT(MappedFile::open("/dev/null").error().message, HasSubstr("a device"));
  ASSERT_EQ(::mkfifo(dir.file("pipe").c_str(), 0600), 0);
  EXPECT_THAT(MappedFile::open(dir.file("pipe")).error().message, HasSubstr("a pipe"));
}

TEST(MappedFile, NoPermissionIsAnError) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TempDir dir;
  ASSERT_TRUE(write_file_atomic(dir.file("a"), "x").ok());
  ASSERT_EQ(::chmod(dir.file("a").c_str(), 0), 0);
  EXPECT_EQ(MappedFile::open(dir.file("a")).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace weir::os
