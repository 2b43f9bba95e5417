#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "text/json.h"

namespace weir::checkpoint {
namespace {

using text::Json;

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  uint64_t bytes;
};
constexpr std::array<DtypeRow, 16> kDtypes = {{
    {Dtype::kF64, "F64", 8},
    {Dtype::kF32, "F32", 4},
    {Dtype::kF16, "F16", 2},
    {Dtype::kBF16, "BF16", 2},
    {Dtype::kI64, "I64", 8},
    {Dtype::kI32, "I32", 4},
    {Dtype::kI16, "I16", 2},
    {Dtype::kI8, "I8", 1},
    {Dtype::kU64, "U64", 8},
    {Dtype::kU32, "U32", 4},
    {Dtype::kU16, "U16", 2},
    {Dtype::kU8, "U8", 1},
    {Dtype::kBool, "BOOL", 1},
    {Dtype::kF8E4M3, "F8_E4M3", 1},
    {Dtype::kF8E5M2, "F8_E5M2", 1},
    {Dtype::kF8E8M0, "F8_E8M0", 1},
}};

const DtypeRow& row(Dtype dtype) {
  return *std::find_if(kDtypes.begin(), kDtypes.end(),
                       [&](const DtypeRow& r) { return r.dtype == dtype; });
}

// A count as JSON has it: an integer that is not negative.
std::optional<uint64_t> count_of(const Json& value) {
  if (!value.is_int() || value.as_int() < 0) return std::nullopt;
  return static_cast<uint64_t>(value.as_int());
}

// One tensor of the header; data_bytes is what the file holds behind the header.
class Entry {
 public:
  Entry(const std::string& file, const std::string& name, const Json& json)
      : file_(file), name_(name), json_(json) {}

  Result<SafeTensor> read(std::span<const std::byte> data) const {
    if (!json_.is_object() || json_.size() != 3) {
      return corrupt("it must be an object of dtype, shape and data_offsets");
    }
    SafeTensor t;
    t.name = name_;
    WEIR_ASSIGN(t.dtype, dtype());
    WEIR_ASSIGN(t.shape, shape());
    const Json* offsets = json_.find("data_offsets");
    if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2) {
      return corrupt("data_offsets must be a list of two numbers");
    }
    const auto begin = count_of(offsets->items()[0]);
    const auto end = count_of(offsets->items()[1]);
    if (!begin || !end || *begin > *end || *end > data.size()) {
      return corrupt(fmt::format("data_offsets {} do not lie within the {} bytes of data",
                                 offsets->dump().substr(0, 80), data.size()));
    }
    uint64_t bytes = dtype_bytes(t.dtype);
    for (const uint64_t d : t.shape) {
      if (__builtin_mul_overflow(bytes, d, &bytes)) {
        return corrupt("the product of its shape is beyond 64 bits");
      }
    }
    if (bytes != *end - *begin) {
      return corrupt(fmt::format("dtype and shape ask for {} bytes, data_offsets for {}", bytes,
                                 *end - *begin));
    }
    t.data = data.subspan(*begin, bytes);
    return t;
  }

 private:
  [[nodiscard]] Error corrupt(std::string_view why) const {
    return make_error(ErrorCode::kCorrupt, "{}: tensor {}: {}; download the file again", file_,
                      text::json_quote(std::string_view(name_).substr(0, 80)), why);
  }
  Result<Dtype> dtype() const {
    const Json* value = json_.find("dtype");
    if (value == nullptr || !value->is_string()) return corrupt("dtype must be a string");
    for (const DtypeRow& r : kDtypes) {
      if (r.name == value->as_string()) return r.dtype;
    }
    std::string known;
    for (const DtypeRow& r : kDtypes) known += (known.empty() ? "" : ", ") + std::string(r.name);
    return make_error(ErrorCode::kUnsupported, "{}: tensor {}: unknown dtype {}; known: {}", file_,
                      text::json_quote(std::string_view(name_).substr(0, 80)),
                      text::json_quote(std::string_view(value->as_string()).substr(0, 40)), known);
  }
  Result<std::vector<uint64_t>> shape() const {
    const Json* value = json_.find("shape");
    if (value == nullptr || !value->is_array()) return corrupt("shape must be a list");
    if (value->size() > kMaxDims) {
      return corrupt(
          fmt::format("shape has {} dimensions, the most is {}", value->size(), kMaxDims));
    }
    std::vector<uint64_t> dims;
    for (const Json& item : value->items()) {
      const auto dim = count_of(item);
      if (!dim) return corrupt("shape must be a list of numbers that are not negative");
      dims.push_back(*dim);
    }
    return dims;
  }
  const std::string& file_;
  const std::string& name_;
  const Json& json_;
};

// The JSON of the header, bounded before it is parsed.
Result<Json> read_header(std::string_view header, const std::string& name) {
  if (header.empty() || header.front() != '{') {
    return make_error(ErrorCode::kCorrupt, "{}: the header does not start with '{{'", name);
  }
  const auto values = static_cast<uint64_t>(std::count_if(
      header.begin(), header.end(), [](char c) { return c == ',' || c == '[' || c == '{'; }));
  if (values > kMaxHeaderValues) {
    return make_error(ErrorCode::kLimit,
                      "{}: the header holds more than the {} values that are read", name,
                      kMaxHeaderValues);
  }
  Result<Json> json = Json::parse(header);
  if (!json.ok()) {
    return make_error(ErrorCode::kCorrupt, "{}: the header is not JSON: {}", name,
                      json.error().message);
  }
  return json;
}

Status check_metadata(const Json& metadata, const std::string& name) {
  bool good = metadata.is_object();
  if (good) {
    for (const Json::Member& m : metadata.members()) good = good && m.second.is_string();
  }
  if (good) return {};
  return make_error(ErrorCode::kCorrupt, "{}: __metadata__ must be an object of strings", name);
}

// Sorted by data, the tensors follow each other from the first byte to the last.
Status check_contiguous(const std::vector<SafeTensor>& tensors, std::span<const std::byte> data,
                        const std::string& name) {
  const std::byte* at = data.data();
  for (const SafeTensor& t : tensors) {
    if (t.data.data() != at) {
      return make_error(ErrorCode::kCorrupt,
                        "{}: the data of tensor {} {} the tensor before; download the file again",
                        name, text::json_quote(std::string_view(t.name).substr(0, 80)),
                        t.data.data() < at ? "overlaps that of" : "leaves a gap behind");
    }
    at += t.data.size();
  }
  if (at == data.data() + data.size()) return {};
  return make_error(ErrorCode::kCorrupt, "{}: {} bytes behind the last tensor belong to none", name,
                    data.data() + data.size() - at);
}

}  // namespace

std::string_view dtype_name(Dtype dtype) { return row(dtype).name; }
uint64_t dtype_bytes(Dtype dtype) { return row(dtype).bytes; }

Result<std::vector<SafeTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                  const std::string& name) {
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes) {
    return make_error(ErrorCode::kCorrupt, "{}: {} bytes are too few for a safetensors file", name,
                      bytes.size());
  }
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  bytes = bytes.subspan(sizeof header_bytes);
  if (header_bytes > bytes.size()) {
    return make_error(
        ErrorCode::kCorrupt,
        "{}: the header has {} bytes, the file only {} more: it is cut short or not a "
        "safetensors file",
        name, header_bytes, bytes.size());
  }
  if (header_bytes > kMaxHeaderBytes) {
    return make_error(ErrorCode::kLimit, "{}: the header has {} bytes, the most is {}", name,
                      header_bytes, kMaxHeaderBytes);
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()), header_bytes);
  WEIR_ASSIGN(const Json json, read_header(header, name));
  const auto data = bytes.subspan(header_bytes);
  std::vector<SafeTensor> tensors;
  for (const auto& [key, value] : json.members()) {
    if (key == "__metadata__") {
      WEIR_TRY(check_metadata(value, name));
      continue;
    }
    WEIR_ASSIGN(SafeTensor t, Entry(name, key, value).read(data));
    tensors.push_back(std::move(t));
  }
  // Empty tensors stand before the one that begins where they do.
  std::sort(tensors.begin(), tensors.end(), [](const SafeTensor& a, const SafeTensor& b) {
    return std::pair(a.data.data(), a.data.size()) < std::pair(b.data.data(), b.data.size());
  });
  WEIR_TRY(check_contiguous(tensors, data, name));
  return tensors;
}

}  // namespace weir::checkpoint
