#include "os/cpu_time.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "os/temp_dir.h"

namespace weir::os {
namespace {

class CpuTimeFile : public ::testing::Test {
 protected:
  Result<CpuTime> read(const std::string& stat) {
    std::filesystem::create_directories(dir_.path() + "/proc");
    std::ofstream(dir_.path() + "/proc/stat") << stat;
    return cpu_time(dir_.path());
  }
  TempDir dir_;
};

TEST_F(CpuTimeFile, AddsAllButIdleAndWaiting) {
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto t = read("cpu  1 2 3 1000 2000 4 5 6 7 8\ncpu0 1 2 3 4 5 6 7 8 9 10\n");
  ASSERT_TRUE(t.ok());
  EXPECT_DOUBLE_EQ(t->all_s, 21 / ticks);
  const auto old = read("cpu  1 2 3 1000 2000 4 5\n");
  ASSERT_TRUE(old.ok());
  EXPECT_DOUBLE_EQ(old->all_s, 15 / ticks);
}

TEST_F(CpuTimeFile, AnythingElseIsAnError) {
  for (const char* stat : {"", "cpu", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"})
    EXPECT_FALSE(read(stat).ok()) << stat;
  EXPECT_FALSE(cpu_time(dir_.path() + "/nowhere").ok());
}

TEST(CpuTime, OthersAreWhatIsNotOwn) {
  EXPECT_DOUBLE_EQ(others_cores({10, 1}, {16, 3}, 2), 2);
  EXPECT_DOUBLE_EQ(others_cores({10, 1}, {11, 3}, 2), 0);
  EXPECT_DOUBLE_EQ(others_cores({10, 1}, {16, 3}, 0), 0);
}

TEST(CpuTime, OwnWorkIsOwn) {
  const auto before = cpu_time();
  ASSERT_TRUE(before.ok());
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(60);
  while (std::chrono::steady_clock::now() < end) {
  }
  const auto after = cpu_time();
  ASSERT_TRUE(after.ok());
  EXPECT_GT(after->own_s, before->own_s);
  EXPECT_GE(after->all_s, before->all_s);
}

}  // namespace
}  // namespace weir::os
