#include "os/cpu.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include "os/cgroup.h"
#include "os/file.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace weir::os {

namespace {

constexpr uint64_t kMaxSysFileBytes = 1 << 20;

#if defined(__x86_64__)
struct Registers {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Registers r;
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d)) return {};
  return r;
}

constexpr bool bit(uint32_t word, int n) { return ((word >> n) & 1u) != 0; }

// XCR0: which register files the kernel saves. Only legal when CPUID.1:ECX.OSXSAVE is set.
uint64_t xgetbv0() {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}
#endif

uint64_t parse_size(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || value > (uint64_t{1} << 40)) return 0;
  if (stop != end && *stop == 'K') return value << 10;
  if (stop != end && *stop == 'M') return value << 20;
  return value;
}

}  // namespace

#if defined(__x86_64__)

// Bits: Intel SDM volume 2A, CPUID; state components of XCR0: volume 1, section 13.3.
CpuFeatures detect_cpu() {
  CpuFeatures f;
  const Registers one = cpuid(1);
  const Registers seven = cpuid(7, 0);
  const Registers seven1 = seven.a >= 1 ? cpuid(7, 1) : Registers{};
  f.sse42 = bit(one.c, 20);
  f.bmi2 = bit(seven.b, 8);
  const uint64_t saved = bit(one.c, 27) ? xgetbv0() : 0;
  const bool ymm = (saved & 0x6) == 0x6;
  const bool zmm = ymm && (saved & 0xe0) == 0xe0;
  const bool tiles = (saved & 0x60000) == 0x60000;
  f.avx = ymm && bit(one.c, 28);
  f.f16c = f.avx && bit(one.c, 29);
  f.fma = f.avx && bit(one.c, 12);
  f.avx2 = f.avx && bit(seven.b, 5);
  f.avx_vnni = f.avx2 && bit(seven1.a, 4);
  f.avx512f = zmm && bit(seven.b, 16);
  f.avx512dq = f.avx512f && bit(seven.b, 17);
  f.avx512bw = f.avx512f && bit(seven.b, 30);
  f.avx512vl = f.avx512f && bit(seven.b, 31);
  f.avx512vbmi = f.avx512f && bit(seven.c, 1);
  f.avx512vnni = f.avx512f && bit(seven.c, 11);
  f.avx512fp16 = f.avx512f && bit(seven.d, 23);
  f.avx512bf16 = f.avx512f && bit(seven1.a, 5);
  f.amx_tile = tiles && bit(seven.d, 24);
  f.amx_int8 = f.amx_tile && bit(seven.d, 25);
  f.amx_bf16 = f.amx_tile && bit(seven.d, 22);
  return f;
}

std::string cpu_model_name() {
  if (cpuid(0x80000000).a < 0x80000004) return "unknown";
  std::string name;
  for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    const Registers r = cpuid(leaf);
    for (const uint32_t word : {r.a, r.b, r.c, r.d}) {
      char bytes[4];
      std::memcpy(bytes, &word, 4);
      name.append(bytes, 4);
    }
  }
  name.resize(std::strlen(name.c_str()));
  const size_t first = name.find_first_not_of(' ');
  const size_t last = name.find_last_not_of(' ');
  return first == std::string::npos ? "unknown" : name.substr(first, last - first + 1);
}

#elif defined(__aarch64__)

CpuFeatures detect_cpu() {
  CpuFeatures f;
  const unsigned long caps = ::getauxval(AT_HWCAP);
  const unsigned long caps2 = ::getauxval(AT_HWCAP2);
  f.neon = (caps & HWCAP_ASIMD) != 0;
  f.dotprod = (caps & HWCAP_ASIMDDP) != 0;
  f.i8mm = (caps2 & HWCAP2_I8MM) != 0;
  return f;
}

std::string cpu_model_name() { return "unknown"; }

#else

CpuFeatures detect_cpu() { return {}; }
std::string cpu_model_name() { return "unknown"; }

#endif

std::string describe(const CpuFeatures& f) {
  struct Name {
    bool CpuFeatures::*field;
    std::string_view text;
  };
  constexpr Name kNames[] = {
      {&CpuFeatures::sse42, "sse42"},
      {&CpuFeatures::avx, "avx"},
      {&CpuFeatures::avx2, "avx2"},
      {&CpuFeatures::fma, "fma"},
      {&CpuFeatures::f16c, "f16c"},
      {&CpuFeatures::bmi2, "bmi2"},
      {&CpuFeatures::avx_vnni, "avx_vnni"},
      {&CpuFeatures::avx512f, "avx512f"},
      {&CpuFeatures::avx512bw, "avx512bw"},
      {&CpuFeatures::avx512dq, "avx512dq"},
      {&CpuFeatures::avx512vl, "avx512vl"},
      {&CpuFeatures::avx512vbmi, "avx512vbmi"},
      {&CpuFeatures::avx512vnni, "avx512vnni"},
      {&CpuFeatures::avx512bf16, "avx512bf16"},
      {&CpuFeatures::avx512fp16, "avx512fp16"},
      {&CpuFeatures::amx_tile, "amx_tile"},
      {&CpuFeatures::amx_int8, "amx_int8"},
      {&CpuFeatures::amx_bf16, "amx_bf16"},
      {&CpuFeatures::neon, "neon"},
      {&CpuFeatures::dotprod, "dotprod"},
      {&CpuFeatures::i8mm, "i8mm"},
  };
  std::string text;
  for (const Name& name : kNames) {
    if (!(f.*name.field)) continue;
    if (!text.empty()) text += ' ';
    text += name.text;
  }
  return text;
}

CacheSizes cache_sizes(const std::string& root) {
  CacheSizes sizes;
  for (int index = 0; index < 8; ++index) {
    const std::string base =
        fmt::format("{}/sys/devices/system/cpu/cpu0/cache/index{}/", root, index);
    const auto level = read_file(base + "level", kMaxSysFileBytes);
    const auto type = read_file(base + "type", kMaxSysFileBytes);
    const auto size = read_file(base + "size", kMaxSysFileBytes);
    if (!level.ok() || !type.ok() || !size.ok()) continue;
    const uint64_t bytes = parse_size(*size);
    if (bytes == 0 || type->starts_with("Instruction")) continue;
    if (level->starts_with("1")) sizes.l1d_bytes = bytes;
    if (level->starts_with("2")) sizes.l2_bytes = bytes;
    if (level->starts_with("3")) sizes.l3_bytes = bytes;
    const auto line = read_file(base + "coherency_line_size", kMaxSysFileBytes);
    const uint64_t line_bytes = line.ok() ? parse_size(*line) : 0;
    if (line_bytes > 0) sizes.line_bytes = line_bytes;
  }
  return sizes;
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails only above CPU_SETSIZE (1024) cpus; then one core is the careful answer.
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

int usable_cores(const std::string& root) {
  uint64_t cores = allowed_cpus().size();
  for (const std::string& directory : cgroup_directories(root)) {
    // "max 100000" or "<quota µs> <period µs>"
    const auto text = read_file(directory + "/cpu.max", kMaxSysFileBytes);
    if (!text.ok()) continue;
    const size_t space = text->find(' ');
    if (space == std::string::npos) continue;
    const uint64_t quota = parse_size(std::string_view(*text).substr(0, space));
    const uint64_t period = parse_size(std::string_view(*text).substr(space + 1));
    if (quota == 0 || period == 0) continue;
    cores = std::min(cores, (quota + period - 1) / period);
  }
  return static_cast<int>(std::max<uint64_t>(cores, 1));
}

}  // namespace weir::os
