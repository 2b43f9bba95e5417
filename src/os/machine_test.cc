// cpu.h, memory.h and thread.h: against a made-up /proc and /sys, and for sense on the real
// machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "os/build_id.h"
#include "os/cpu.h"
#include "os/file.h"
#include "os/memory.h"
#include "os/temp_dir.h"
#include "os/thread.h"

namespace weir::os {
namespace {

class FakeRoot : public ::testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) {
    const std::string full = dir_.path() + path;
    std::filesystem::create_directories(std::filesystem::path(full).parent_path());
    std::ofstream(full) << text;
  }
  std::string root() const { return dir_.path(); }
  TempDir dir_;
};

using Memory = FakeRoot;
using Caches = FakeRoot;
using Cores = FakeRoot;

constexpr char kMeminfo[] = "MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:     800 kB\n";

TEST_F(Memory, IsMemAvailableWithoutLimits) {
  put("/proc/meminfo", kMeminfo);
  EXPECT_EQ(*available_memory_bytes(root()), 800U * 1024);
  EXPECT_EQ(*total_memory_bytes(root()), 1000U * 1024);
}

TEST_F(Memory, IsCutByTheTightestCgroupAbove) {
  put("/proc/meminfo", kMeminfo);
  put("/proc/self/cgroup", "3:cpu:/x\n0::/outer/inner\n");
  put("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  put("/sys/fs/cgroup/outer/memory.max", "500000\n");
  put("/sys/fs/cgroup/outer/memory.current", "400000\n");
  EXPECT_EQ(*available_memory_bytes(root()), 100'000U);
  EXPECT_EQ(*total_memory_bytes(root()), 500'000U);
  put("/sys/fs/cgroup/outer/memory.stat", "anon 5\ninactive_file 300000\n");
  EXPECT_EQ(*available_memory_bytes(root()), 400'000U);
  put("/sys/fs/cgroup/outer/inner/memory.max", "100\n");
  put("/sys/fs/cgroup/outer/inner/memory.current", "200\n");
  EXPECT_EQ(*available_memory_bytes(root()), 0U);
}

TEST_F(Memory, InsideAContainerTheRootGroupCounts) {
  put("/proc/meminfo", kMeminfo);
  put("/proc/self/cgroup", "0::/\n");
  put("/sys/fs/cgroup/memory.max", "4096\n");
  put("/sys/fs/cgroup/memory.current", "96\n");
  EXPECT_EQ(*available_memory_bytes(root()), 4000U);
}

TEST_F(Memory, UnreadableIsAnError) {
  EXPECT_FALSE(available_memory_bytes(root()).ok());
  put("/proc/meminfo", "nonsense");
  EXPECT_EQ(available_memory_bytes(root()).error().code, ErrorCode::kIo);
}

TEST(MemoryHere, IsPlausible) {
  const auto available = available_memory_bytes();
  const auto total = total_memory_bytes();
  ASSERT_TRUE(available.ok() && total.ok());
  EXPECT_GT(*available, 1U << 20);
  EXPECT_LE(*available, *total);
  EXPECT_GT(resident_bytes(), 100U << 10);
  EXPECT_GE(peak_resident_bytes() + (1U << 20), resident_bytes());
}

TEST_F(Cores, QuotaCutsTheMask) {
  const int all = static_cast<int>(allowed_cpus().size());
  EXPECT_EQ(usable_cores(root()), all);
  put("/sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(usable_cores(root()), all);
  put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(usable_cores(root()), 1);
  put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(usable_cores(root()), std::min(all, 2));
  put("/sys/fs/cgroup/cpu.max", "900000000 100000\n");
  EXPECT_EQ(usable_cores(root()), all);
}

TEST_F(Caches, ComeFromSysfs) {
  const auto index = [&](int i, const char* level, const char* type, const char* size) {
    const std::string base = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", i);
    put(base + "level", level);
    put(base + "type", type);
    put(base + "size", size);
    put(base + "coherency_line_size", "128\n");
  };
  index(0, "1\n", "Data\n", "48K\n");
  index(1, "1\n", "Instruction\n", "32K\n");
  index(2, "2\n", "Unified\n", "2048K\n");
  index(3, "3\n", "Unified\n", "30M\n");
  const CacheSizes sizes = cache_sizes(root());
  EXPECT_EQ(sizes.l1d_bytes, 48U << 10);
  EXPECT_EQ(sizes.l2_bytes, 2U << 20);
  EXPECT_EQ(sizes.l3_bytes, 30U << 20);
  EXPECT_EQ(sizes.line_bytes, 128U);
}

TEST_F(Caches, KeepDefaultsWhenNothingIsTold) {
  const CacheSizes sizes = cache_sizes(root());
  EXPECT_EQ(sizes.l1d_bytes, 32U << 10);
  EXPECT_EQ(sizes.l2_bytes, 512U << 10);
  EXPECT_EQ(sizes.l3_bytes, 0U);
}

// The kernel's own list of flags is the oracle: it too leaves out what it does not save.
TEST(Cpu, AgreesWithProcCpuinfo) {
  const auto text = read_file("/proc/cpuinfo", 16 << 20);
  const size_t at = text.ok() ? text->find("\nflags") : std::string::npos;
  if (at == std::string::npos) GTEST_SKIP() << "no flags in /proc/cpuinfo";
  const std::string flags = text->substr(at, text->find('\n', at + 1) - at) + " ";
  const auto has = [&](const char* flag) {
    return flags.find(fmt::format(" {} ", flag)) != std::string::npos;
  };
  const CpuFeatures f = detect_cpu();
  EXPECT_EQ(f.sse42, has("sse4_2"));
  EXPECT_EQ(f.avx, has("avx"));
  EXPECT_EQ(f.avx2, has("avx2"));
  EXPECT_EQ(f.fma, has("fma"));
  EXPECT_EQ(f.f16c, has("f16c"));
  EXPECT_EQ(f.bmi2, has("bmi2"));
  EXPECT_EQ(f.avx_vnni, has("avx_vnni"));
  EXPECT_EQ(f.avx512f, has("avx512f"));
  EXPECT_EQ(f.avx512bw, has("avx512bw"));
  EXPECT_EQ(f.avx512dq, has("avx512dq"));
  EXPECT_EQ(f.avx512vl, has("avx512vl"));
  EXPECT_EQ(f.avx512vbmi, has("avx512vbmi"));
  EXPECT_EQ(f.avx512vnni, has("avx512_vnni"));
  EXPECT_EQ(f.avx512bf16, has("avx512_bf16"));
  EXPECT_EQ(f.avx512fp16, has("avx512_fp16"));
  EXPECT_EQ(f.amx_tile, has("amx_tile"));
  EXPECT_NE(text->find(cpu_model_name()), std::string::npos);
}

TEST(Cpu, DescribeListsSetFields) {
  CpuFeatures f;
  EXPECT_EQ(describe(f), "");
  f.avx2 = f.avx512bf16 = true;
  EXPECT_EQ(describe(f), "avx2 avx512bf16");
}

TEST(Threads, TakeANameAndACpu) {
  const std::vector<int> cpus = allowed_cpus();
  ASSERT_FALSE(cpus.empty());
  EXPECT_TRUE(std::is_sorted(cpus.begin(), cpus.end()));
  std::thread([&] {
    set_thread_name("a name of more than 15 bytes");
    char name[32] = {};
    ASSERT_EQ(::pthread_getname_np(::pthread_self(), name, sizeof name), 0);
    EXPECT_STREQ(name, "a name of more ");
    ASSERT_TRUE(pin_thread(cpus.back()).ok());
    EXPECT_EQ(::sched_getcpu(), cpus.back());
    EXPECT_EQ(allowed_cpus(), std::vector<int>{cpus.back()});
  }).join();
  EXPECT_EQ(allowed_cpus(), cpus);
}

TEST(Threads, RefuseACpuThatIsNotThere) {
  EXPECT_EQ(pin_thread(-1).error().code, ErrorCode::kIo);
  EXPECT_EQ(pin_thread(1 << 20).error().code, ErrorCode::kIo);
}

// The linker of the presets writes one: 20 bytes of SHA-1, or 16 of lld's.
TEST(BuildId, IsASumInHexadecimal) {
  const std::string id = build_id();
  EXPECT_GE(id.size(), 16U) << id;
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos) << id;
  EXPECT_EQ(build_id(), id);
}

}  // namespace
}  // namespace weir::os
