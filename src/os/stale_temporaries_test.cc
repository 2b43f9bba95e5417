#include "os/stale_temporaries.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "os/atomic_folder.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::os {
namespace {

namespace fs = std::filesystem;

// The number of a process that is no more.
int dead_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  return child;
}

TEST(StaleTemporaries, ThoseOfDeadProcessesGo) {
  const TempDir dir;
  const std::string dead = std::to_string(dead_process());
  const std::string own = std::to_string(::getpid());
  fs::create_directory(dir.file("out.tmp-" + dead + "-0"));
  for (const std::string& name :
       {"out.tmp-" + dead + "-0/model.safetensors", "out.tmp-" + dead + "-1",
        "out.tmp-" + own + "-0", "out2.tmp-" + dead + "-0", "out.tmp-" + dead + "-x",
        "out.tmp-" + dead, std::string("out.tmp--1-0")})
    ASSERT_TRUE(write_file_atomic(dir.file(name), "x").ok()) << name;
  remove_stale_temporaries(dir.file("out"));
  EXPECT_FALSE(fs::exists(dir.file("out.tmp-" + dead + "-0")));
  EXPECT_FALSE(fs::exists(dir.file("out.tmp-" + dead + "-1")));
  EXPECT_TRUE(fs::exists(dir.file("out.tmp-" + own + "-0")));
  EXPECT_TRUE(fs::exists(dir.file("out2.tmp-" + dead + "-0")));
  EXPECT_TRUE(fs::exists(dir.file("out.tmp-" + dead + "-x")));
  EXPECT_TRUE(fs::exists(dir.file("out.tmp-" + dead)));
  EXPECT_TRUE(fs::exists(dir.file("out.tmp--1-0")));
}

TEST(StaleTemporaries, WhatReplacesAFileRemovesWhatKilledOnesLeft) {
  const TempDir dir;
  const std::string left = dir.file("out.tmp-" + std::to_string(dead_process()) + "-0");
  { std::ofstream(left) << "x"; }
  ASSERT_TRUE(write_file_atomic(dir.file("out"), "new").ok());
  EXPECT_FALSE(fs::exists(left));
  EXPECT_EQ(read_file(dir.file("out"), 10).value(), "new");
}

TEST(StaleTemporaries, NamesOfThem) {
  for (const char* name : {"out.tmp-1-0", "a.tmp-x.tmp-77-12"})
    EXPECT_TRUE(is_temporary_name(name));
  for (const char* name : {"", "out", "out.tmp-", "out.tmp-1", "out.tmp-1-", "out.tmp-0-1",
                           "out.tmp-1-0.yaml", ".tmp-1-0", "out.tmp--1-0"})
    EXPECT_FALSE(is_temporary_name(name)) << name;
}

// Of a container whose processes have numbers of their own: under another name, which is no
// process here.
TEST(StaleTemporaries, WhatIsLockedStays) {
  const TempDir dir;
  const std::string dead = std::to_string(dead_process());
  const std::string own = std::to_string(::getpid());
  {
    auto file = AtomicFile::create(dir.file("f"));
    auto folder = AtomicFolder::create(dir.file("g"));
    ASSERT_TRUE(file.ok() && folder.ok());
    for (const std::string name : {"f", "g"})
      fs::rename(dir.file(name + ".tmp-" + own + "-0"), dir.file(name + ".tmp-" + dead + "-0"));
    for (const std::string name : {"f", "g"}) {
      remove_stale_temporaries(dir.file(name));
      EXPECT_TRUE(fs::exists(dir.file(name + ".tmp-" + dead + "-0"))) << name;
    }
  }
  for (const std::string name : {"f", "g"}) {
    remove_stale_temporaries(dir.file(name));
    EXPECT_FALSE(fs::exists(dir.file(name + ".tmp-" + dead + "-0"))) << name;
  }
}

TEST(StaleTemporaries, ANewRunTakesThemAway) {
  const TempDir dir;
  const std::string left = dir.file("out.tmp-" + std::to_string(dead_process()) + "-0");
  fs::create_directory(left);
  const auto folder = AtomicFolder::create(dir.file("out/"));
  ASSERT_TRUE(folder.ok());
  EXPECT_FALSE(fs::exists(left));
}

}  // namespace
}  // namespace weir::os
