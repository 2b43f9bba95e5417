#include "kv/kv_storage.h"

#include <sys/mman.h>

#include <cassert>
#include <cstring>

namespace weir::kv {

Result<std::unique_ptr<KvStorage>> KvStorage::allocate(const kernels::KvLayout& layout,
                                                       int32_t layers, int32_t pages) {
  const uint64_t k_bytes = layout.k_page_bytes();
  const uint64_t v_bytes = layout.v_page_bytes();
  const uint64_t stride = (k_bytes + v_bytes) * static_cast<uint64_t>(layers);
  const uint64_t bytes = stride * static_cast<uint64_t>(pages);
  std::unique_ptr<KvStorage> storage(new KvStorage());
  // Anonymous memory is zero; NORESERVE because most of a large cache may never be written.
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return make_error(ErrorCode::kOutOfMemory,
                      "the KV cache of {} pages needs {} MiB, which this machine refuses", pages,
                      bytes >> 20);
  }
  madvise(memory, bytes, MADV_HUGEPAGE);
  storage->layout_ = layout;
  storage->pages_ = pages;
  storage->memory_ = memory;
  storage->bytes_ = bytes;
  auto* at = static_cast<std::byte*>(memory);
  for (int32_t l = 0; l < layers; ++l, at += k_bytes + v_bytes)
    storage->pools_.push_back({at, at + k_bytes, stride});
  return storage;
}

std::span<std::byte> KvStorage::page(int32_t index) const {
  assert(index >= 0 && index < pages_);
  const size_t stride = bytes_ / static_cast<size_t>(pages_);
  return {static_cast<std::byte*>(memory_) + stride * static_cast<size_t>(index), stride};
}

void KvStorage::copy_page(int32_t from, int32_t to) const {
  const std::span<const std::byte> source = page(from);
  std::memcpy(page(to).data(), source.data(), source.size());
}

void KvStorage::clear() {
  // Anonymous memory reads as zero after MADV_DONTNEED (madvise(2)).
  if (madvise(memory_, bytes_, MADV_DONTNEED) != 0) std::memset(memory_, 0, bytes_);
}

KvStorage::~KvStorage() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

}  // namespace weir::kv
