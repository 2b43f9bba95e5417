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

void AlignedBuffer::Free::operator()(std::byte* p) const {
#ifdef __linux__
  if (mapped_bytes > 0) {
    munmap(p, mapped_bytes);
    return;
  }
#endif
  std::free(p);
}

#ifdef __linux__
namespace {

// Zeroed by the system as it is touched, at a huge-page boundary. nullptr when refused.
std::byte* map_huge(size_t bytes) {
  void* p =
      mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(p);
  const size_t skip = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (skip > 0) munmap(begin, skip);
  if (skip < kHugePage) munmap(begin + skip + bytes, kHugePage - skip);
  (void)madvise(begin + skip, bytes, MADV_HUGEPAGE);  // advice: may be refused
  return begin + skip;
}

}  // namespace
#endif

AlignedBuffer AlignedBuffer::allocate(size_t bytes) {
  AlignedBuffer buffer;
  if (bytes > SIZE_MAX / 2) return buffer;
#ifdef __linux__
  if (bytes >= kHugePage) {
    const size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    buffer.memory_ = {map_huge(rounded), Free{rounded}};
    if (buffer.memory_ != nullptr) buffer.size_ = bytes;
    return buffer;
  }
#endif
  const size_t rounded = bytes == 0 ? kLine : (bytes + kLine - 1) / kLine * kLine;
  auto* p = static_cast<std::byte*>(std::aligned_alloc(kLine, rounded));
  if (p == nullptr) return buffer;
  std::memset(p, 0, rounded);
  buffer.memory_ = {p, Free{0}};
  buffer.size_ = bytes;
  return buffer;
}

}  // namespace weir::kernels
