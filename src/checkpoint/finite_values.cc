#include "checkpoint/finite_values.h"

#include <cstdint>
#include <optional>

#include "kernels/finite_scan.h"

namespace weir::checkpoint {
namespace {

using kernels::FloatFormat;

std::optional<FloatFormat> format_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF64:
      return FloatFormat::kF64;
    case Dtype::kF32:
      return FloatFormat::kF32;
    case Dtype::kF16:
      return FloatFormat::kF16;
    case Dtype::kBF16:
      return FloatFormat::kBF16;
    default:
      return std::nullopt;
  }
}

uint64_t element_bytes(FloatFormat format) {
  return format == FloatFormat::kF64 ? 8 : format == FloatFormat::kF32 ? 4 : 2;
}

}  // namespace

Status check_finite_values(const SafeTensor& t, kernels::ThreadPool& pool) {
  const auto format = format_of(t.dtype);
  if (!format) return {};
  const uint64_t bad = kernels::first_of(
      t.data.size() / element_bytes(*format), pool, [&](uint64_t begin, uint64_t end) {
        return kernels::first_not_finite(t.data, *format, begin, end);
      });
  if (bad == kernels::kNoneFound) return {};
  return make_error(ErrorCode::kInvalidValue,
                    "tensor {}: element {} is NaN or infinite; the file is damaged: download it "
                    "again",
                    t.name, bad);
}

}  // namespace weir::checkpoint
