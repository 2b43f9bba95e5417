// The bytes of the KV cache: for each layer a pool of K pages and a pool of V pages, of the types
// and laid out as kernels/attention.h says; [pages][layers][K, V] in memory. Memory is reserved at
// once and becomes resident as pages are first written: a page of all layers lies together, so that
// huge pages hold nothing but pages in use and their neighbours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/attention.h"

namespace weir::kv {

class KvStorage {
 public:
  // Error: kOutOfMemory with the bytes asked for.
  static Result<std::unique_ptr<KvStorage>> allocate(const kernels::KvLayout& layout,
                                                     int32_t layers, int32_t pages);
  ~KvStorage();
  KvStorage(const KvStorage&) = delete;
  KvStorage& operator=(const KvStorage&) = delete;

  const kernels::KvLayout& layout() const { return layout_; }
  int32_t pages() const { return pages_; }
  uint64_t bytes() const { return bytes_; }
  // [layers]; valid while this lives.
  std::span<const kernels::KvPools> pools() const { return pools_; }
  // The bytes of a page of all layers; valid while this lives.
  std::span<std::byte> page(int32_t index) const;
  // Makes page `to` hold what `from` holds.
  // Zeroes all pages and gives their memory back to the system.
  void clear();
  void copy_page(int32_t from, int32_t to) const;

 private:
  KvStorage() = default;
  kernels::KvLayout layout_;
  int32_t pages_ = 0;
  void* memory_ = nullptr;
  uint64_t bytes_ = 0;
  std::vector<kernels::KvPools> pools_;
};

}  // namespace weir::kv
