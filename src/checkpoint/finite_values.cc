#include "checkpoint/finite_values.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

namespace weir::checkpoint {
namespace {

constexpr uint64_t kNone = UINT64_MAX;
constexpr uint64_t kElements = 1 << 16;  // of a task: some tens of microseconds

// The first of the elements [begin, end) whose exponent is all ones, or kNone. Any alignment.
template <typename Bits>
uint64_t first_bad(std::span<const std::byte> data, Bits exponent, uint64_t begin, uint64_t end) {
  for (uint64_t i = begin; i < end; ++i) {
    Bits bits;
    std::memcpy(&bits, data.data() + i * sizeof bits, sizeof bits);
    if ((bits & exponent) == exponent) return i;
  }
  return kNone;
}

template <typename Bits>
uint64_t find_bad(std::span<const std::byte> data, Bits exponent, kernels::ThreadPool& pool) {
  const uint64_t elements = data.size() / sizeof(Bits);
  std::atomic<uint64_t> first{kNone};
  pool.parallel_for((elements + kElements - 1) / kElements, [&](size_t task, size_t) {
    const uint64_t begin = task * kElements;
    const uint64_t bad = first_bad(data, exponent, begin, std::min(elements, begin + kElements));
    uint64_t seen = first.load();
    while (bad < seen && !first.compare_exchange_weak(seen, bad)) {
    }
  });
  return first.load();
}

}  // namespace

Status check_finite_values(const SafeTensor& t, kernels::ThreadPool& pool) {
  uint64_t bad = kNone;
  switch (t.dtype) {
    case Dtype::kF64:
      bad = find_bad<uint64_t>(t.data, uint64_t{0x7FF} << 52, pool);
      break;
    case Dtype::kF32:
      bad = find_bad<uint32_t>(t.data, 0x7F800000U, pool);
      break;
    case Dtype::kF16:
      bad = find_bad<uint16_t>(t.data, 0x7C00U, pool);
      break;
    case Dtype::kBF16:
      bad = find_bad<uint16_t>(t.data, 0x7F80U, pool);
      break;
    default:
      break;
  }
  if (bad == kNone) return {};
  return make_error(ErrorCode::kInvalidValue,
                    "tensor {}: element {} is NaN or infinite; the file is damaged: download it "
                    "again",
                    t.name, bad);
}

}  // namespace weir::checkpoint
