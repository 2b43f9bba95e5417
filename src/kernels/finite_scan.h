// Finds values that are NaN or infinite in arrays of floats as they lie in files, in parallel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "kernels/thread_pool.h"

namespace weir::kernels {

inline constexpr uint64_t kNoneFound = UINT64_MAX;

enum class FloatFormat : uint8_t { kF64, kF32, kF16, kBF16 };

// The first of the elements [begin, end) whose exponent is all ones, or kNoneFound. Any alignment.
uint64_t first_not_finite(std::span<const std::byte> data, FloatFormat format, uint64_t begin,
                          uint64_t end);

// The first of `units` that `first_in` finds: asked for ranges [begin, end) on the pool's threads,
// it returns the first there, or kNoneFound.
uint64_t first_of(uint64_t units, ThreadPool& pool,
                  const std::function<uint64_t(uint64_t begin, uint64_t end)>& first_in);

}  // namespace weir::kernels
