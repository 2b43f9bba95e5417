// A metadata value of a GGUF file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weir::gguf {

// Ids as they stand in files (GGUF specification, gguf_metadata_value_type).
enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// "uint32"; "type 77" for an unknown id.
std::string value_type_name(ValueType type);
// Bytes of a fixed-size scalar, 0 for string, array and unknown types.
uint32_t scalar_bytes(ValueType type);
bool is_integer(ValueType type);

// A typed view into the bytes of the file: cheap to copy, valid while those bytes are. Arrays are
// not unpacked until asked for, so a value costs no memory beyond itself. The reader has checked
// it: what raw holds is complete and well formed.
struct Value {
  ValueType type = ValueType::kUint8;
  ValueType element_type = ValueType::kUint8;  // of an array; else equal to type
  uint64_t count = 1;                          // elements of an array; else 1
  std::span<const std::byte> raw;  // scalar, string characters, or packed array elements

  bool is_array() const { return type == ValueType::kArray; }

  // Each is empty when the value is of another kind; as_uint also for negative and as_int for too
  // large numbers.
  std::optional<uint64_t> as_uint() const;
  std::optional<int64_t> as_int() const;
  std::optional<double> as_float() const;  // floats and integers
  std::optional<bool> as_bool() const;
  std::optional<std::string_view> as_string() const;

  // "uint32", "array of 3 string"
  std::string type_text() const;
  // For people: the scalar, or the first max_elements of an array; strings cut at max_bytes.
  std::string to_text(size_t max_elements = 4, size_t max_bytes = 80) const;
};

// Walks the elements of an array value (or the one element of a scalar).
class ValueReader {
 public:
  explicit ValueReader(const Value& array)
      : type_(array.element_type), left_(array.count), raw_(array.raw), array_(array.is_array()) {}
  // The next element as a scalar or string value, or nothing after the last.
  std::optional<Value> next();

 private:
  ValueType type_;
  uint64_t left_;
  std::span<const std::byte> raw_;
  bool array_;
};

}  // namespace weir::gguf
