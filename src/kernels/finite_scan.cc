#include "kernels/finite_scan.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace weir::kernels {
namespace {

constexpr uint64_t kUnits = 1 << 16;  // of a task: some 100 microseconds

template <typename Bits>
uint64_t first_with(std::span<const std::byte> data, Bits exponent, uint64_t begin, uint64_t end) {
  for (uint64_t i = begin; i < end; ++i) {
    Bits bits;
    std::memcpy(&bits, data.data() + i * sizeof bits, sizeof bits);
    if ((bits & exponent) == exponent) return i;
  }
  return kNoneFound;
}

}  // namespace

uint64_t first_not_finite(std::span<const std::byte> data, FloatFormat format, uint64_t begin,
                          uint64_t end) {
  switch (format) {
    case FloatFormat::kF64:
      return first_with<uint64_t>(data, uint64_t{0x7FF} << 52, begin, end);
    case FloatFormat::kF32:
      return first_with<uint32_t>(data, 0x7F800000U, begin, end);
    case FloatFormat::kF16:
      return first_with<uint16_t>(data, 0x7C00U, begin, end);
    case FloatFormat::kBF16:
      return first_with<uint16_t>(data, 0x7F80U, begin, end);
  }
  return kNoneFound;
}

uint64_t first_of(uint64_t units, ThreadPool& pool,
                  const std::function<uint64_t(uint64_t begin, uint64_t end)>& first_in) {
  std::atomic<uint64_t> first{kNoneFound};
  pool.parallel_for((units + kUnits - 1) / kUnits, [&](size_t task, size_t) {
    const uint64_t begin = task * kUnits;
    const uint64_t found = first_in(begin, std::min(units, begin + kUnits));
    uint64_t seen = first.load();
    while (found < seen && !first.compare_exchange_weak(seen, found)) {
    }
  });
  return first.load();
}

}  // namespace weir::kernels
