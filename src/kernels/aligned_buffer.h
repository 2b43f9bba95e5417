// Owned memory at a 64-byte boundary; large buffers ask for huge pages (a matrix is read front to
// back each step, and 4 KiB pages cost a TLB miss every 64 lines).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace weir::kernels {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Zeroed memory; data() == nullptr when the system has none left. bytes may be 0.
  static AlignedBuffer allocate(size_t bytes);

  std::byte* data() { return memory_.get(); }
  const std::byte* data() const { return memory_.get(); }
  size_t size() const { return size_; }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(memory_.get());
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(memory_.get());
  }

 private:
  struct Free {
    size_t mapped_bytes;  // 0: from the heap
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Free> memory_;
  size_t size_ = 0;
};

}  // namespace weir::kernels
