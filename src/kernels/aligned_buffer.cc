#include "kernels/aligned_buffer.h"

#include <cstdlib>
#include <cstring>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace weir::kernels {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void AlignedBuffer::Free::operator()(std::byte* p) const { std::free(p); }

AlignedBuffer AlignedBuffer::allocate(size_t bytes) {
  AlignedBuffer buffer;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kLine;
  if (bytes > SIZE_MAX - alignment) return buffer;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  auto* p = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded == 0 ? kLine : rounded));
  if (p == nullptr) return buffer;
#ifdef __linux__
  if (alignment == kHugePage) (void)madvise(p, rounded, MADV_HUGEPAGE);  // advice: may be refused
#endif
  std::memset(p, 0, rounded);
  buffer.memory_.reset(p);
  buffer.size_ = bytes;
  return buffer;
}

}  // namespace weir::kernels
