// Helpers for tests: GGUF bytes written by hand, so that they can be wrong in any way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "gguf/file.h"

namespace weir::gguf {

class RawBytes {
 public:
  template <typename T>
  RawBytes& put(T value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof value);
    return *this;
  }
  RawBytes& text(std::string_view text) {
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), bytes, bytes + text.size());
    return *this;
  }
  RawBytes& string(std::string_view value) { return put<uint64_t>(value.size()).text(value); }
  RawBytes& header(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
    return text("GGUF").put(version).put(tensors).put(keys);
  }
  RawBytes& key(std::string_view key, ValueType type) {
    return string(key).put(static_cast<uint32_t>(type));
  }
  RawBytes& tensor(std::string_view name, const std::vector<uint64_t>& shape, TensorType type,
                   uint64_t offset) {
    string(name).put(static_cast<uint32_t>(shape.size()));
    for (const uint64_t d : shape) put(d);
    return put(static_cast<uint32_t>(type)).put(offset);
  }
  RawBytes& align(size_t alignment = 32) {
    while (bytes_.size() % alignment != 0) put<uint8_t>(0);
    return *this;
  }
  RawBytes& zeros(size_t n) {
    bytes_.resize(bytes_.size() + n);
    return *this;
  }
  size_t size() const { return bytes_.size(); }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// A copy that ends where its heap block ends, so that AddressSanitizer sees one byte read too many.
struct ExactCopy {
  explicit ExactCopy(std::span<const std::byte> from)
      : data(new std::byte[from.size()]), size(from.size()) {
    if (size > 0) std::memcpy(data.get(), from.data(), size);
  }
  std::span<const std::byte> bytes() const { return {data.get(), size}; }
  std::unique_ptr<std::byte[]> data;
  size_t size;
};

// Reads every byte that the file hands out; the sum keeps the compiler from dropping it.
inline uint64_t touch(const File& file) {
  uint64_t sum = file.total_bytes() + file.version() + file.alignment();
  for (const Metadata& entry : file.metadata()) {
    sum += entry.key.size() + entry.value.to_text().size() + entry.value.type_text().size();
    ValueReader reader(entry.value);
    while (const auto element = reader.next()) {
      for (const std::byte b : element->raw) sum += static_cast<uint64_t>(b);
    }
    if (file.find(entry.key) != &entry.value) return 0;
  }
  for (const Tensor& t : file.tensors()) {
    sum += t.name.size() + t.elements();
    for (const std::byte b : t.data) sum += static_cast<uint64_t>(b);
    if (file.find_tensor(t.name) != &t) return 0;
  }
  return sum;
}

}  // namespace weir::gguf
