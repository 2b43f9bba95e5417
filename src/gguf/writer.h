// Writing GGUF files: version 3, little endian, one file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "gguf/tensor_type.h"
#include "gguf/value.h"
#include "os/file.h"

namespace weir::gguf {

// The rest of a file whose header is written: tensor data as it comes. One thread. Destruction
// without commit() leaves whatever stood at the path before.
class TensorStream {
 public:
  // The next bytes of the tensor that is being written, or of the one after it: a piece never
  // spans two. Errors: kIo (a full disk among them), kInternal for more bytes than were declared.
  Status write(std::span<const std::byte> bytes);
  // Errors: kIo; kInternal when bytes are missing. The file is there, and synced, on success.
  Status commit();
  uint64_t written_bytes() const { return file_.written_bytes(); }

 private:
  friend class Writer;
  TensorStream(os::AtomicFile file, std::vector<uint64_t> sizes, uint64_t alignment)
      : file_(std::move(file)), sizes_(std::move(sizes)), alignment_(alignment) {}

  os::AtomicFile file_;
  std::vector<uint64_t> sizes_;  // of all tensors
  uint64_t alignment_;
  size_t tensor_ = 0;  // being written
  uint64_t done_ = 0;  // bytes of it
};

// Where the data of a tensor stand in the file.
struct TensorPlace {
  uint64_t offset = 0;        // from the file's beginning
  uint64_t bytes = 0;         // of data
  uint64_t padded_bytes = 0;  // with the zeros up to the next tensor
};

// Collects metadata and tensors, then writes them in the order given. Metadata is copied, tensor
// data is borrowed until write_file() or to_bytes() returns. One thread. Bad calls (duplicate key
// or name, wrong data size, more than the reader's limits) are remembered; the first is returned by
// write_file() and to_bytes(), so calls need no checking one by one.
class Writer {
 public:
  void set_uint(std::string_view key, uint32_t value) {
    set_scalar(key, ValueType::kUint32, &value, 4);
  }
  void set_uint16(std::string_view key, uint16_t value) {
    set_scalar(key, ValueType::kUint16, &value, 2);
  }
  void set_uint64(std::string_view key, uint64_t value) {
    set_scalar(key, ValueType::kUint64, &value, 8);
  }
  void set_int(std::string_view key, int32_t value) {
    set_scalar(key, ValueType::kInt32, &value, 4);
  }
  void set_int64(std::string_view key, int64_t value) {
    set_scalar(key, ValueType::kInt64, &value, 8);
  }
  void set_float(std::string_view key, float value) {
    set_scalar(key, ValueType::kFloat32, &value, 4);
  }
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);
  void set_strings(std::string_view key, std::span<const std::string> values);
  void set_strings(std::string_view key, std::span<const std::string_view> values);
  void set_ints(std::string_view key, std::span<const int32_t> values);
  void set_int64s(std::string_view key, std::span<const int64_t> values);
  void set_uints(std::string_view key, std::span<const uint32_t> values);
  void set_floats(std::string_view key, std::span<const float> values);
  // Any value, e.g. one read from another file.
  void set(std::string_view key, const Value& value);

  // shape in file order (shape[0] contiguous); data.size() must be what type and shape ask for. The
  // general.alignment key, when set (as uint), decides the padding.
  void add_tensor(std::string_view name, TensorType type, std::span<const uint64_t> shape,
                  std::span<const std::byte> data);

  // The same for data that does not exist yet; only begin_file() takes it.
  void declare_tensor(std::string_view name, TensorType type, std::span<const uint64_t> shape);

  // Errors: the first bad call (kInvalidValue), kIo. The file appears whole or not at all
  // (os::AtomicFile).
  Status write_file(const std::string& path) const;
  // Writes the header; the data of all tensors follow by the stream, in their order. Errors as
  // above.
  Result<TensorStream> begin_file(const std::string& path) const;
  // The header alone, up to the first tensor's data, for callers that place the data themselves.
  // Errors as above.
  Result<std::vector<std::byte>> to_header() const;
  // Of each tensor, in order.
  std::vector<TensorPlace> places() const;
  // Bytes of the finished file.
  uint64_t file_bytes() const;
  // The same bytes in memory, for tests.
  Result<std::vector<std::byte>> to_bytes() const;

 private:
  using Sink = std::function<Status(std::span<const std::byte>)>;
  struct TensorEntry {
    std::string name;
    TensorType type;
    std::vector<uint64_t> shape;
    std::span<const std::byte> data;  // empty when declared only
    uint64_t bytes = 0;
  };
  void add_entry(std::string_view name, TensorType type, std::span<const uint64_t> shape,
                 std::span<const std::byte> data, uint64_t bytes);
  Status check() const;
  void set_scalar(std::string_view key, ValueType type, const void* value, size_t bytes);
  void begin_key(std::string_view key, ValueType type);
  void begin_array(std::string_view key, ValueType type, uint64_t count);
  void fail(std::string message);
  std::vector<std::byte> header() const;
  Status write_to(const Sink& sink) const;

  std::vector<std::byte> metadata_;  // encoded
  std::vector<std::string> keys_;
  std::vector<TensorEntry> tensors_;
  uint64_t alignment_ = kDefaultAlignment;
  std::string failure_;
};

}  // namespace weir::gguf
