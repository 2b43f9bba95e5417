// Reading GGUF model files (version 2 and 3, little endian, single or split).
// Format: ggml/docs/gguf.md. All input is taken for hostile: every count and offset is checked
// against the bytes that are there before anything is allocated, and memory use stays below a small
// multiple of the header's size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/tensor_type.h"
#include "gguf/value.h"
#include "os/mapped_file.h"

namespace weir::gguf {

// Bounds of what is read; each far above what is found in the field.
inline constexpr uint64_t kMaxMetadata = 65'536;  // keys per file
inline constexpr uint64_t kMaxTensors = 262'144;  // tensors per file, and over all parts
inline constexpr uint64_t kMaxKeyBytes = 65'535;  // the specification's bound
inline constexpr uint64_t kMaxTensorNameBytes =
    255;  // the specification says 64; some converters pass it
inline constexpr uint64_t kMaxStringBytes = 16 << 20;  // one string value
inline constexpr uint64_t kMaxArrayElements =
    1 << 24;                             // one array value; the largest vocabularies have 2^18
inline constexpr uint32_t kMaxDims = 4;  // as ggml
inline constexpr uint64_t kDefaultAlignment = 32;  // without general.alignment
inline constexpr uint64_t kMinAlignment = 8;       // so that every scalar type is aligned
inline constexpr uint64_t kMaxAlignment = 65'536;
inline constexpr uint64_t kMaxParts = 1'024;  // files of a split model

struct Tensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> shape;      // file order: shape[0] is contiguous; 1 to 4 entries, none 0
  std::span<const std::byte> data;  // in the mapping; exactly elements() values

  uint64_t elements() const;
  // Product of shape[1] and following: the rows of length shape[0].
  uint64_t rows() const;
};

struct Metadata {
  std::string_view key;
  Value value;
};

// A parsed model. Movable; views that it hands out stay valid while it (or the object it was moved
// into) lives. Const members may be called from any thread.
class File {
 public:
  // Maps and reads a file, and its sibling parts when it is the first of a split model
  // ("…-00001-of-0000N.gguf"). Errors name file, key and byte offset and the remedy: kNotFound,
  // kIo, kCorrupt, kUnsupported, kLimit.
  static Result<File> open(const std::string& path);
  // Reads one file from memory, borrowed for the life of the result; bytes.data() is 8-byte aligned
  // where tensor data is to be. A part of a split model is read alone. `name` stands for the path
  // in errors.
  static Result<File> parse(std::span<const std::byte> bytes, const std::string& name = "memory");

  // A model put together in memory from another format.
  struct Parts {
    std::string path;                 // in errors
    std::vector<std::byte> metadata;  // a GGUF file without tensors, as Writer makes it
    std::vector<Tensor> tensors;      // their data lies in mappings or buffers
    std::vector<os::MappedFile> mappings;
    std::vector<std::unique_ptr<std::byte[]>> buffers;  // each holds one tensor
    uint64_t total_bytes = 0;                           // of the files it came from
  };
  // Errors: those of parse(), of the metadata and of tensors named twice.
  static Result<File> assemble(Parts parts);

  File(File&&) noexcept = default;
  File& operator=(File&&) noexcept = default;

  // nullptr when absent.
  const Value* find(std::string_view key) const;
  const Tensor* find_tensor(std::string_view name) const;

  // Errors of all getters: kNotFound for a missing key, kCorrupt for another type, both naming file
  // and key.
  Result<uint64_t> get_uint(std::string_view key) const;  // any integer type, not negative
  Result<int64_t> get_int(std::string_view key) const;    // any integer type
  Result<double> get_float(std::string_view key) const;   // floats and integers
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string_view> get_string(std::string_view key) const;
  // The default when absent; an error when present with another type.
  Result<uint64_t> uint_or(std::string_view key, uint64_t fallback) const;
  Result<int64_t> int_or(std::string_view key, int64_t fallback) const;
  Result<double> float_or(std::string_view key, double fallback) const;
  Result<bool> bool_or(std::string_view key, bool fallback) const;
  Result<std::string_view> string_or(std::string_view key, std::string_view fallback) const;
  // Arrays, unpacked.
  Result<std::vector<std::string_view>> get_strings(std::string_view key) const;
  Result<std::vector<float>> get_floats(std::string_view key) const;  // floats and integers
  Result<std::vector<int64_t>> get_ints(std::string_view key) const;  // integers and bools

  // In file order (of the first part); tensors in file order, part after part.
  const std::vector<Metadata>& metadata() const { return metadata_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }

  uint64_t total_bytes() const { return total_bytes_; }  // of all parts
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  const std::string& path() const { return path_; }
  size_t parts() const { return part_count_; }
  // Made by assemble(), from another format.
  bool assembled() const { return !assembled_metadata_.empty(); }

  // Tells that the tensors whose names begin like this were copied elsewhere: their pages leave the
  // memory of this process. Data in a mapping can be read again, from the file; buffers that
  // assemble() was given are emptied with kForGood and kept with kReadLater. No effect on a parsed
  // span. No prefix: the metadata as well, which can be read again.
  enum class Release : uint8_t { kForGood, kReadLater };
  void release(std::string_view prefix, Release release = Release::kForGood) const;

 private:
  File() = default;
  Result<const Value*> require(std::string_view key) const;
  [[nodiscard]] Error wrong_type(std::string_view key, const Value& value,
                                 std::string_view wanted) const;
  Status index();
  Status open_siblings(uint64_t count);
  Status add_part(const std::string& path, uint64_t number, uint64_t count);

  std::string path_;
  std::vector<os::MappedFile> mappings_;
  std::vector<std::byte> assembled_metadata_;
  std::vector<std::unique_ptr<std::byte[]>> buffers_;
  std::vector<Metadata> metadata_;
  std::vector<Tensor> tensors_;
  std::vector<uint32_t> metadata_order_;  // indices into metadata_, sorted by key
  std::vector<uint32_t> tensor_order_;    // indices into tensors_, sorted by name
  uint64_t total_bytes_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  uint32_t version_ = 0;
  size_t part_count_ = 1;
};

}  // namespace weir::gguf
