#include "os/cpu_time.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <vector>

#include "os/cpu.h"
#include "os/temp_dir.h"

namespace weir::os {
namespace {

class CpuTimeFile : public ::testing::Test {
 protected:
  Result<CpuTime> read(const std::string& stat, std::vector<int> cpus = {0}) {
    std::filesystem::create_directories(dir_.path() + "/proc");
    std::ofstream(dir_.path() + "/proc/stat") << stat;
    return cpu_time(cpus, dir_.path());
  }
  TempDir dir_;
  const double ticks_ = static_cast<double>(sysconf(_SC_CLK_TCK));
};

TEST_F(CpuTimeFile, AddsAllButIdleAndWaitingOfThoseCores) {
  const std::string stat =
      "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 1000 2000 4 5 6 7 8\ncpu1 100 0 0 0 0 0 0 0 0 0\n"
      "cpu10 10 0 0 0 0 0 0\nintr 1\n";
  EXPECT_DOUBLE_EQ(read(stat)->all_s, 21 / ticks_);
  EXPECT_DOUBLE_EQ(read(stat, {1, 10})->all_s, 110 / ticks_);
}

TEST_F(CpuTimeFile, AnythingElseIsAnError) {
  for (const char* stat : {"", "cpu", "cpu0 1 2 3", "cpu 1 2 3 4 5 6 7 8", "cpux 1 2 3 4 5 6 7 8",
                           "cpu0 a b c d e f g h", "cpu1 1 2 3 4 5 6 7 8"})
    EXPECT_FALSE(read(stat).ok()) << stat;
  const int cpus[] = {0};
  EXPECT_FALSE(cpu_time(cpus, dir_.path() + "/nowhere").ok());
}

TEST(CpuTime, OthersAreWhatIsNotOwn) {
  EXPECT_DOUBLE_EQ(others_cores({10, 1}, {16, 3}, 2), 2);
  EXPECT_DOUBLE_EQ(others_cores({10, 1}, {11, 3}, 2), 0);
  EXPECT_DOUBLE_EQ(others_cores({10, 1}, {16, 3}, 0), 0);
}

TEST(CpuTime, OwnWorkIsOwn) {
  const auto before = cpu_time(allowed_cpus());
  ASSERT_TRUE(before.ok());
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(60);
  while (std::chrono::steady_clock::now() < end) {
  }
  const auto after = cpu_time(allowed_cpus());
  ASSERT_TRUE(after.ok());
  EXPECT_GT(after->own_s, before->own_s);
  EXPECT_GE(after->all_s, before->all_s);
}

}  // namespace
}  // namespace weir::os
