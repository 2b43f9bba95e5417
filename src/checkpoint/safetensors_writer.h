// Writing a safetensors file tensor by tensor. Format: safetensors.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/safetensors.h"
#include "os/file.h"

namespace weir::checkpoint {

struct SafeTensorInfo {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<uint64_t> shape;

  uint64_t bytes() const;
};

// The size of the file with these tensors.
uint64_t safetensors_bytes(const std::vector<SafeTensorInfo>& tensors);

// One thread. Destruction without commit() leaves nothing (os::AtomicFile).
class SafetensorsWriter {
 public:
  // Lays the tensors out, those with the widest type first, so that each lies aligned. Names are
  // unique. Errors: kIo.
  static Result<SafetensorsWriter> create(const std::string& path,
                                          const std::vector<SafeTensorInfo>& tensors);
  // All the bytes of tensor number i of those given, each of them once and in any order. Errors:
  // kIo, a full disk among them.
  Status write(size_t i, std::span<const std::byte> bytes);
  Status commit() { return file_.commit(); }

 private:
  SafetensorsWriter(os::AtomicFile file, std::vector<uint64_t> offsets)
      : file_(std::move(file)), offsets_(std::move(offsets)) {}

  os::AtomicFile file_;
  std::vector<uint64_t> offsets_;  // in the file, of each tensor
};

}  // namespace weir::checkpoint
