#include "os/temporaries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "os/atomic_folder.h"
#include "os/file.h"
#include "os/signals.h"
#include "os/temp_dir.h"

namespace weir::os {
namespace {

using ::testing::ElementsAre;
using ::testing::KilledBySignal;

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

Status put(const std::string& path, std::string_view text) { return write_file_atomic(path, text); }

TEST(TemporariesDeathTest, GoWithTheSignalAndTheOldFileStays) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const TempDir folder;
    ASSERT_TRUE(put(folder.file("out"), "old").ok());
    const auto die = [&] {
      remove_temporaries_on_signals();
      auto file = AtomicFile::create(folder.file("out"));
      auto moved = std::move(file).value();
      (void)moved.write(std::as_bytes(std::span("new")));
      if (names_in(folder.path()).size() != 2) ::_exit(1);
      (void)::raise(signal);
    };
    EXPECT_EXIT(die(), KilledBySignal(signal), "^$");
    EXPECT_THAT(names_in(folder.path()), ElementsAre("out"));
    EXPECT_EQ(read_file(folder.file("out"), 10).value(), "old");
  }
}

TEST(TemporariesDeathTest, AFolderGoesWithAllThatIsInIt) {
  const TempDir folder;
  const auto die = [&] {
    remove_temporaries_on_signals();
    const auto out = AtomicFolder::create(folder.file("out"));
    for (int i = 0; i < 300; ++i)  // more than one read of the folder returns
      if (::mknod(out->file(fmt::format("shard-{:060}", i)).c_str(), S_IFREG | 0644, 0) != 0)
        ::_exit(1);
    std::filesystem::create_directories(out->file("a/b"));
    std::filesystem::create_directory_symlink(folder.path(), out->file("a/link"));
    const auto open = AtomicFile::create(out->file("a/b/open"));
    (void)::raise(SIGTERM);
  };
  ASSERT_TRUE(put(folder.file("mine"), "stays").ok());
  EXPECT_EXIT(die(), KilledBySignal(SIGTERM), "^$");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("mine"));
}

TEST(TemporariesDeathTest, LastWordsRemoveThemToo) {
  const TempDir folder;
  const auto die = [&] {
    const LastWords words("go on\n");
    const auto file = AtomicFile::create(folder.file("out"));
    (void)::raise(SIGINT);
  };
  EXPECT_EXIT(die(), KilledBySignal(SIGINT), "go on");
  EXPECT_THAT(names_in(folder.path()), ElementsAre());
}

TEST(TemporariesDeathTest, WhatIsDoneIsForgotten) {
  const TempDir folder;
  const auto die = [&] {
    remove_temporaries_on_signals();
    for (int i = 0; i < 200; ++i) {  // more than are remembered at a time
      if (!put(folder.file("out"), "done").ok()) ::_exit(1);
      auto out = AtomicFolder::create(folder.file("folder"));
      (void)AtomicFile::create(folder.file("given up"));
      if (i == 199) (void)out->commit();
    }
    // Names that were theirs are anybody's now.
    for (const char* name : {"out", "given up", "folder"}) {
      const std::string was = fmt::format("{}.tmp-{}-0", folder.file(name), ::getpid());
      if (::mknod(was.c_str(), S_IFREG | 0644, 0) != 0) ::_exit(2);
    }
    const auto last = AtomicFile::create(folder.file("last"));
    (void)::raise(SIGTERM);
  };
  EXPECT_EXIT(die(), KilledBySignal(SIGTERM), "^$");
  EXPECT_EQ(names_in(folder.path()).size(), 5U);
  EXPECT_FALSE(names_in(folder.path()).contains("last"));
}

TEST(TemporariesDeathTest, IgnoredSignalsStayIgnored) {
  const TempDir folder;
  const auto live = [&] {
    (void)::signal(SIGHUP, SIG_IGN);
    remove_temporaries_on_signals();
    auto file = AtomicFile::create(folder.file("out"));
    (void)::raise(SIGHUP);
    ::_exit(file->commit().ok() ? 0 : 1);
  };
  EXPECT_EXIT(live(), ::testing::ExitedWithCode(0), "^$");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("out"));
}

TEST(Temporaries, OfTheParentAreNotTheChilds) {
  const TempDir folder;
  auto file = AtomicFile::create(folder.file("out"));
  ASSERT_TRUE(file.ok());
  const pid_t child = ::fork();
  if (child == 0) {
    remove_temporaries();
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(file->commit().ok());
}

}  // namespace
}  // namespace weir::os
