#include "bench/peak_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weir::bench {

#if defined(__x86_64__)
namespace {

// Independent chains hide the latency of the instruction on two ports: 4 cycles on Zen 4 and Golden
// Cove want 8 at least. AVX2 has 16 registers for chains, operands and the two steps between.
constexpr int kWide = 16;
constexpr int kNarrow = 8;
constexpr int kNarrowFma = 12;

// An operand that is new as far as the compiler knows, so that no round is computed beforehand.
#define WEIR_NEW_OPERAND(x) asm volatile("" : "+v"(x))
#define WEIR_NEW_OPERAND_AVX2(x) asm volatile("" : "+x"(x))

float sum_of(const int* words, int n) {
  int64_t sum = 0;
  for (int i = 0; i < n; ++i) sum += words[i];
  return static_cast<float>(sum);
}

float sum_of(const float* values, int n) {
  float sum = 0;
  for (int i = 0; i < n; ++i) sum += values[i];
  return sum;
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) float int8_avx512(int64_t rounds) {
  __m512i acc[kWide];
  for (int i = 0; i < kWide; ++i) acc[i] = _mm512_set1_epi32(i);
  const __m512i a = _mm512_set1_epi8(3);
  __m512i b = _mm512_set1_epi8(5);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kWide; ++i) acc[i] = _mm512_dpbusd_epi32(acc[i], a, b);
    WEIR_NEW_OPERAND(b);
  }
  int words[kWide * 16];
  for (int i = 0; i < kWide; ++i) _mm512_storeu_si512(words + i * 16, acc[i]);
  return sum_of(words, kWide * 16);
}

__attribute__((target("avx2"))) float int8_avx2(int64_t rounds) {
  __m256i acc[kNarrow];
  for (int i = 0; i < kNarrow; ++i) acc[i] = _mm256_set1_epi32(i);
  const __m256i a = _mm256_set1_epi8(3);
  __m256i b = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kNarrow; ++i) {
      acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
      WEIR_NEW_OPERAND_AVX2(b);
    }
  }
  int words[kNarrow * 8];
  for (int i = 0; i < kNarrow; ++i)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + static_cast<ptrdiff_t>(i) * 8), acc[i]);
  return sum_of(words, kNarrow * 8);
}

__attribute__((target("avx512f"))) float f32_avx512(int64_t rounds) {
  __m512 acc[kWide];
  for (int i = 0; i < kWide; ++i) acc[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 a = _mm512_set1_ps(0.5F);
  __m512 b = _mm512_set1_ps(0.25F);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kWide; ++i) acc[i] = _mm512_fmadd_ps(a, b, acc[i]);
    WEIR_NEW_OPERAND(b);
  }
  float values[kWide * 16];
  for (int i = 0; i < kWide; ++i) _mm512_storeu_ps(values + i * 16, acc[i]);
  return sum_of(values, kWide * 16);
}

__attribute__((target("avx2,fma"))) float f32_avx2(int64_t rounds) {
  __m256 acc[kNarrowFma];
  for (int i = 0; i < kNarrowFma; ++i) acc[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 a = _mm256_set1_ps(0.5F);
  __m256 b = _mm256_set1_ps(0.25F);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kNarrowFma; ++i) acc[i] = _mm256_fmadd_ps(a, b, acc[i]);
    WEIR_NEW_OPERAND_AVX2(b);
  }
  float values[kNarrowFma * 8];
  for (int i = 0; i < kNarrowFma; ++i)
    _mm256_storeu_ps(values + static_cast<ptrdiff_t>(i) * 8, acc[i]);
  return sum_of(values, kNarrowFma * 8);
}

__attribute__((target("avx512f,avx512bf16"))) float bf16_avx512(int64_t rounds) {
  __m512 acc[kWide];
  for (int i = 0; i < kWide; ++i) acc[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5F), _mm512_set1_ps(0.5F));
  __m512bh b = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.25F), _mm512_set1_ps(0.25F));
  for (int64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kWide; ++i) acc[i] = _mm512_dpbf16_ps(acc[i], a, b);
    WEIR_NEW_OPERAND(b);
  }
  float values[kWide * 16];
  for (int i = 0; i < kWide; ++i) _mm512_storeu_ps(values + i * 16, acc[i]);
  return sum_of(values, kWide * 16);
}

}  // namespace

PeakLoop int8_loop(kernels::Isa isa) {
  if (isa == kernels::Isa::kAvx512) return {kWide * 128.0, int8_avx512};
  if (isa == kernels::Isa::kAvx2) return {kNarrow * 64.0, int8_avx2};
  return {};
}

PeakLoop f32_loop(kernels::Isa isa) {
  if (isa == kernels::Isa::kAvx512) return {kWide * 32.0, f32_avx512};
  if (isa == kernels::Isa::kAvx2) return {kNarrowFma * 16.0, f32_avx2};
  return {};
}

PeakLoop bf16_loop(kernels::Isa isa, const os::CpuFeatures& features) {
  if (isa == kernels::Isa::kAvx512 && features.avx512bf16) return {kWide * 64.0, bf16_avx512};
  return {};
}
#else
PeakLoop int8_loop(kernels::Isa) { return {}; }
PeakLoop f32_loop(kernels::Isa) { return {}; }
PeakLoop bf16_loop(kernels::Isa, const os::CpuFeatures&) { return {}; }
#endif

}  // namespace weir::bench
