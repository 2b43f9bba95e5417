// In its own file, so that no caller sees the operators' bodies: GCC warns of mismatched pairs when
// only one is inlined.
#include "gguf/count_allocations.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

thread_local weir::gguf::Allocations counted;

}  // namespace

void* operator new(size_t size) {
  counted.total_bytes += size;
  counted.largest_bytes = std::max(counted.largest_bytes, size);
  void* place = std::malloc(size > 0 ? size : 1);
  if (place == nullptr) throw std::bad_alloc();
  return place;
}
void* operator new[](size_t size) { return operator new(size); }
void operator delete(void* place) noexcept { std::free(place); }
void operator delete[](void* place) noexcept { std::free(place); }
void operator delete(void* place, size_t) noexcept { std::free(place); }
void operator delete[](void* place, size_t) noexcept { std::free(place); }

namespace weir::gguf {

void reset_allocations() { counted = {}; }
Allocations allocations() { return counted; }

}  // namespace weir::gguf
