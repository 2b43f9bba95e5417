// In its own file, so that no caller sees the operators' bodies: GCC warns of mismatched pairs when
// only one is inlined.
#include "gguf/count_allocations.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

thread_local weir::gguf::Allocations counted;

}  // namespace

// All forms but the over-aligned ones, so that each delete meets memory of the same kind.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  counted.total_bytes += size;
  counted.largest_bytes = std::max(counted.largest_bytes, size);
  return std::malloc(size > 0 ? size : 1);
}
void* operator new(size_t size) {
  void* place = operator new(size, std::nothrow);
  if (place == nullptr) throw std::bad_alloc();
  return place;
}
void* operator new[](size_t size) { return operator new(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return operator new(size, std::nothrow);
}
void operator delete(void* place) noexcept { std::free(place); }
void operator delete[](void* place) noexcept { std::free(place); }
void operator delete(void* place, size_t) noexcept { std::free(place); }
void operator delete[](void* place, size_t) noexcept { std::free(place); }
void operator delete(void* place, const std::nothrow_t&) noexcept { std::free(place); }
void operator delete[](void* place, const std::nothrow_t&) noexcept { std::free(place); }

namespace weir::gguf {

void reset_allocations() { counted = {}; }
Allocations allocations() { return counted; }

}  // namespace weir::gguf
