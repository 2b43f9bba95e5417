#include "kernels/aligned_buffer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace weir::kernels {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSmallPage = size_t{4} << 10;
// From here on a buffer is a mapping: what is never written takes no memory, and what is given back
// leaves no hole in the heap.
constexpr size_t kMapped = size_t{128} << 10;
// Of an arena. What is not handed out is never touched, so it takes no memory.
constexpr size_t kChunk = size_t{64} << 20;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

void AlignedBuffer::Free::operator()(std::byte* p) const {
#ifdef __linux__
  if (owner == Owner::kMapping) munmap(p, mapped_bytes);
#endif
  if (owner == Owner::kHeap) std::free(p);
}

#ifdef __linux__
namespace {

// Zeroed by the system as it is touched. nullptr when refused.
std::byte* map_small(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
}

// The same at a huge-page boundary.
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
  if (bytes >= kMapped) {
    const bool huge = bytes >= kHugePage;
    const size_t rounded = round_up(bytes, huge ? kHugePage : kSmallPage);
    buffer.memory_ = {huge ? map_huge(rounded) : map_small(rounded),
                      Free{Owner::kMapping, rounded}};
    if (buffer.memory_ != nullptr) buffer.size_ = bytes;
    return buffer;
  }
#endif
  const size_t rounded = bytes == 0 ? kLine : round_up(bytes, kLine);
  auto* p = static_cast<std::byte*>(std::aligned_alloc(kLine, rounded));
  if (p == nullptr) return buffer;
  std::memset(p, 0, rounded);
  buffer.memory_ = {p, Free{Owner::kHeap, 0}};
  buffer.size_ = bytes;
  return buffer;
}

AlignedBuffer BufferArena::allocate(size_t bytes) {
  AlignedBuffer buffer;
  if (bytes > SIZE_MAX / 2) return buffer;
  const size_t rounded = round_up(bytes, kLine);
  if (chunks_.empty() || chunks_.back().size() - used_ < rounded) {
    AlignedBuffer chunk = AlignedBuffer::allocate(std::max(rounded, kChunk));
    if (chunk.data() == nullptr) chunk = AlignedBuffer::allocate(rounded);
    if (chunk.data() == nullptr) return buffer;
    chunks_.push_back(std::move(chunk));
    used_ = 0;
  }
  buffer.memory_ = {chunks_.back().data() + used_, {AlignedBuffer::Owner::kArena, 0}};
  buffer.size_ = bytes;
  used_ += rounded;
  return buffer;
}

}  // namespace weir::kernels
