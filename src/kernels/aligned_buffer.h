// Owned memory at a 64-byte boundary; large buffers ask for huge pages (a matrix is read front to
// back each step, and 4 KiB pages cost a TLB miss every 64 lines).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace weir::kernels {

class BufferArena;

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
  friend class BufferArena;
  enum class Owner : uint8_t { kHeap, kMapping, kArena };
  struct Free {
    Owner owner;
    size_t mapped_bytes;  // of kMapping, else 0
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Free> memory_;
  size_t size_ = 0;
};

// Buffers that live equally long, side by side in few mappings of huge pages: a buffer of less than
// a huge page has none of its own, and one of more would waste half a huge page. One thread at a
// time. Its buffers must not outlive it.
class BufferArena {
 public:
  BufferArena() = default;

  // As AlignedBuffer::allocate.
  AlignedBuffer allocate(size_t bytes);

 private:
  std::vector<AlignedBuffer> chunks_;
  size_t used_ = 0;  // bytes of the last chunk
};

}  // namespace weir::kernels
