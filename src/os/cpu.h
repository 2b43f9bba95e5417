// What the processor offers: instruction sets, caches, usable cores.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir::os {

// An instruction set counts only if the processor has it and the kernel saves its registers
// (XGETBV), so that a true field means the instructions may be executed. Fields of other
// architectures are false.
struct CpuFeatures {
  bool sse42 = false;
  bool avx = false;
  bool avx2 = false;
  bool fma = false;
  bool f16c = false;
  bool bmi2 = false;
  bool avx_vnni = false;
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512dq = false;
  bool avx512vl = false;
  bool avx512vbmi = false;
  bool avx512vnni = false;
  bool avx512bf16 = false;
  bool avx512fp16 = false;
  bool amx_tile =
      false;  // the kernel additionally wants arch_prctl(ARCH_REQ_XCOMP_PERM) before use
  bool amx_int8 = false;
  bool amx_bf16 = false;
  bool neon = false;
  bool dotprod = false;
  bool i8mm = false;
};

// Any thread; a few CPUID instructions, no state.
CpuFeatures detect_cpu();

// The set fields as words, e.g. "avx2 fma f16c", for logs.
std::string describe(const CpuFeatures& features);

// "AMD Ryzen ..." as the processor names itself, or "unknown".
std::string cpu_model_name();

struct CacheSizes {
  uint64_t line_bytes = 64;
  uint64_t l1d_bytes = 32 << 10;
  uint64_t l2_bytes = 512 << 10;
  uint64_t l3_bytes = 0;  // 0: none or not told
};

// Cache sizes of cpu 0 from <root>/sys/devices/system/cpu; what the kernel does not tell keeps the
// defaults above. root is for tests.
CacheSizes cache_sizes(const std::string& root = "");

// The cpu numbers this process may run on (its affinity mask), ascending, never empty.
std::vector<int> allowed_cpus();

// How many cores this process can keep busy: the affinity mask, cut by the cgroup v2 cpu quota
// (rounded up), at least 1.
int usable_cores(const std::string& root = "");

}  // namespace weir::os
