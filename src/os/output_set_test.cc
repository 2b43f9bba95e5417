#include "os/output_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::os {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr size_t kFiles = 3;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class Outputs : public ::testing::Test {
 protected:
  std::string path() const { return dir_.file("out"); }
  std::vector<std::string> targets(size_t count = kFiles) const {
    std::vector<std::string> all;
    for (size_t i = 0; i < count; ++i) all.push_back(dir_.file(fmt::format("out-{}", i)));
    return all;
  }
  std::string inside(size_t i) const { return fmt::format("{}.partial/{:05}", path(), i + 1); }
  Result<OutputSet> open(size_t count = kFiles) const {
    return OutputSet::open(path(), targets(count));
  }
  // A run that wrote everything and was killed before commit().
  void leave(const std::string& content) {
    auto set = open();
    ASSERT_TRUE(set.ok()) << set.error().message;
    ASSERT_TRUE(set->restart().ok());
    ASSERT_TRUE(set->append_journal("first\nsecond\n").ok());
    for (size_t i = 0; i < kFiles; ++i)
      ASSERT_TRUE(set->write_at(i, 0, bytes_of(content + std::to_string(i))).ok());
    set->keep();
  }
  void expect_all(const std::string& content) {
    for (size_t i = 0; i < kFiles; ++i)
      EXPECT_EQ(*read_file(targets()[i], 100), content + std::to_string(i));
    EXPECT_FALSE(fs::exists(path() + ".partial"));
  }
  TempDir dir_;
};

TEST_F(Outputs, AppearTogether) {
  leave("a");
  for (const std::string& t : targets()) EXPECT_FALSE(fs::exists(t));
  auto set = open();
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(set->journal(), "first\nsecond\n");
  ASSERT_TRUE(set->resume().ok());
  ASSERT_TRUE(set->cut_journal(6).ok());
  EXPECT_EQ(set->journal(), "first\n");
  EXPECT_GT(set->present_bytes(), 0U);
  ASSERT_TRUE(set->commit().ok());
  expect_all("a");
}

TEST_F(Outputs, WithoutCommitNothingStays) {
  leave("a");
  {
    auto set = open();
    ASSERT_TRUE(set.ok());
    ASSERT_TRUE(set->restart().ok());
    EXPECT_EQ(fs::file_size(inside(0)), 0U);
  }
  EXPECT_TRUE(fs::is_empty(dir_.path()));
}

// Wherever a kill falls among the renames, readers miss the first file unless all are there, and
// the next run brings the set to its end.
TEST_F(Outputs, AKillBetweenTwoNamesIsMadeGood) {
  for (size_t named = 0; named <= kFiles; ++named) {
    leave("b");
    for (size_t i = 0; i < named; ++i)
      fs::rename(inside(kFiles - 1 - i), targets()[kFiles - 1 - i]);
    EXPECT_EQ(fs::exists(targets()[0]), named == kFiles);
    auto set = open();
    ASSERT_TRUE(set.ok());
    ASSERT_TRUE(set->resume().ok());
    for (const std::string& t : targets()) EXPECT_FALSE(fs::exists(t));
    ASSERT_TRUE(set->commit().ok());
    expect_all("b");
    for (const std::string& t : targets()) fs::remove(t);
  }
}

// kill -9 of a process that commits over an older set, at any time: never a mix of old and new.
TEST_F(Outputs, NoMixOfOldAndNew) {
  for (int delay_us = 0; delay_us < 40000; delay_us += 2000) {
    for (size_t i = 0; i < kFiles; ++i)
      ASSERT_TRUE(write_file_atomic(targets()[i], "old" + std::to_string(i)).ok());
    leave("new");
    const pid_t child = ::fork();
    if (child == 0) {
      auto set = open();
      const bool good = set.ok() && set->resume().ok() && set->commit().ok();
      ::_exit(good ? 0 : 1);
    }
    ::usleep(static_cast<useconds_t>(delay_us));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto first = read_file(targets()[0], 100);
    for (size_t i = 1; first.ok() && i < kFiles; ++i) {
      const std::string age = first->substr(0, 3);
      EXPECT_EQ(*read_file(targets()[i], 100), age + std::to_string(i)) << delay_us;
    }
    auto set = open();
    ASSERT_TRUE(set.ok());
    if (set->journal().empty()) continue;  // the child had committed
    ASSERT_TRUE(set->resume().ok());
    ASSERT_TRUE(set->commit().ok());
    expect_all("new");
  }
}

TEST_F(Outputs, OneFileTakesTheOldOnesPlaceAndMode) {
  const std::string target = targets()[0];
  ASSERT_TRUE(write_file_atomic(target, "old").ok());
  fs::permissions(target, fs::perms::owner_read | fs::perms::owner_write);
  auto set = open(1);
  ASSERT_TRUE(set.ok() && set->restart().ok());
  ASSERT_TRUE(set->write_at(0, 2, bytes_of("w")).ok());
  EXPECT_EQ(*read_file(target, 10), "old");
  ASSERT_TRUE(set->commit().ok());
  EXPECT_EQ(*read_file(target, 10), std::string("\0\0w", 3));
  EXPECT_EQ(fs::status(target).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(Outputs, ASecondWriterIsRefused) {
  auto first = open();
  ASSERT_TRUE(first.ok());
  const auto second = open();
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().message, HasSubstr("another process"));
}

TEST_F(Outputs, AFolderOfSomebodyElseIsLeftAlone) {
  const std::string folder = path() + ".partial";
  ASSERT_TRUE(fs::create_directory(folder));
  ASSERT_TRUE(write_file_atomic(folder + "/thesis.txt", "mine").ok());
  const auto set = open();
  ASSERT_FALSE(set.ok());
  EXPECT_THAT(set.error().message, HasSubstr("holds thesis.txt, which is of no unfinished run"));
  EXPECT_EQ(*read_file(folder + "/thesis.txt", 100), "mine");
  EXPECT_FALSE(fs::exists(folder + "/journal"));
}

TEST_F(Outputs, LinksAndPipesInTheFolderAreRefused) {
  const std::string folder = path() + ".partial";
  const std::string victim = dir_.file("victim");
  ASSERT_TRUE(write_file_atomic(victim, "mine").ok());
  for (const char* name : {"/journal", "/00001"}) {
    ASSERT_TRUE(fs::create_directory(folder));
    fs::create_symlink(victim, folder + name);
    const auto set = open();
    ASSERT_FALSE(set.ok()) << name;
    EXPECT_THAT(set.error().message, HasSubstr("of no unfinished run")) << name;
    EXPECT_EQ(*read_file(victim, 100), "mine") << name;
    fs::remove_all(folder);
  }
  ASSERT_TRUE(fs::create_directory(folder));
  ASSERT_EQ(::mkfifo((folder + "/journal").c_str(), 0600), 0);
  EXPECT_FALSE(open().ok());  // and does not wait for a reader
  fs::remove_all(folder);
  ASSERT_TRUE(fs::create_directory(dir_.file("elsewhere")));
  fs::create_directory_symlink(dir_.file("elsewhere"), folder);
  EXPECT_FALSE(open().ok());
  EXPECT_TRUE(fs::is_empty(dir_.file("elsewhere")));
}

TEST_F(Outputs, WhatCannotBeWrittenIsSaid) {
  fs::create_directory(targets()[1]);
  EXPECT_THAT(open().error().message, HasSubstr("not a file"));
  EXPECT_EQ(OutputSet::open(dir_.file("no/out"), {dir_.file("no/out")}).error().code,
            ErrorCode::kNotFound);
}

TEST_F(Outputs, ReadsStopAtTheEnd) {
  leave("abc");
  auto set = open();
  ASSERT_TRUE(set.ok() && set->resume().ok());
  std::byte four[4];
  EXPECT_TRUE(*set->read_at(1, 0, four));
  EXPECT_FALSE(*set->read_at(1, 1, four));
  ASSERT_TRUE(set->truncate(1, 3).ok());
  EXPECT_FALSE(*set->read_at(1, 0, four));
}

}  // namespace
}  // namespace weir::os
