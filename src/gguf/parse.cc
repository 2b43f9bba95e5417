#include "gguf/parse.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "gguf/sniff.h"

namespace weir::gguf {

namespace {

// Shortest encodings, to hold counts against the bytes that are left before anything is reserved.
constexpr uint64_t kMinMetadataBytes = 8 + 1 + 4 + 1;    // key length, key, type, value
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 4 + 8;  // name length, name, dims, type, offset
constexpr std::string_view kDamaged = "the file is damaged: download or convert it again";

// Where a tensor says its data is; resolved once the data section's start is known.
struct Extent {
  uint64_t offset = 0;  // in the data section
  uint64_t bytes = 0;
};

// Reads the header front to back. A method that fails leaves the reader unusable.
class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Result<Part> run() {
    WEIR_TRY(check_magic(bytes_, name_));
    at_ = 8;  // magic and version, both seen by check_magic
    std::memcpy(&part_.version, bytes_.data() + 4, sizeof part_.version);
    uint64_t tensors = 0;
    uint64_t keys = 0;
    WEIR_TRY(count("tensor count", kMaxTensors, tensors));
    WEIR_TRY(count("metadata count", kMaxMetadata, keys));
    WEIR_TRY(fits("metadata", keys, kMinMetadataBytes));
    part_.metadata.reserve(keys);
    for (uint64_t i = 0; i < keys; ++i) WEIR_TRY(metadata(i));
    WEIR_TRY(sort_metadata());
    WEIR_TRY(alignment());
    WEIR_TRY(fits("tensor", tensors, kMinTensorBytes));
    part_.tensors.reserve(tensors);
    extents_.reserve(tensors);
    for (uint64_t i = 0; i < tensors; ++i) WEIR_TRY(tensor(i));
    WEIR_TRY(place_tensors());
    return std::move(part_);
  }

 private:
  uint64_t left() const { return bytes_.size() - at_; }

  template <typename... Args>
  Error corrupt(uint64_t offset, fmt::format_string<Args...> format, Args&&... args) const {
    return make_error(ErrorCode::kCorrupt, "{}: {} (at byte {}); {}", name_,
                      fmt::format(format, std::forward<Args>(args)...), offset, kDamaged);
  }

  Error limit(uint64_t offset, std::string_view what, uint64_t value, uint64_t bound) const {
    return make_error(ErrorCode::kLimit,
                      "{}: {} is {} (at byte {}), more than the {} that weir reads; {}", name_,
                      what, value, offset, bound, kDamaged);
  }

  Error cut_short(std::string_view what, uint64_t wanted) const {
    return make_error(
        ErrorCode::kCorrupt,
        "{} is {} bytes long, but {} at byte {} needs {} bytes: the file is cut short, "
        "download it again",
        name_, bytes_.size(), what, at_, wanted);
  }

  template <typename T>
  Status read(std::string_view what, T& out) {
    if (left() < sizeof out) return cut_short(what, sizeof out);
    std::memcpy(&out, bytes_.data() + at_, sizeof out);
    at_ += sizeof out;
    return {};
  }

  Status count(std::string_view what, uint64_t bound, uint64_t& out) {
    const uint64_t offset = at_;
    WEIR_TRY(read(what, out));
    if (out > bound) return limit(offset, what, out, bound);
    return {};
  }

  // `entries` of at least `min_bytes` each have to be in what is left.
  Status fits(std::string_view what, uint64_t entries, uint64_t min_bytes) const {
    if (entries > left() / min_bytes) {
      return cut_short(fmt::format("the list of {} {} entries", entries, what),
                       entries * min_bytes);
    }
    return {};
  }

  Status string(std::string_view what, uint64_t bound, std::string_view& out) {
    const uint64_t offset = at_;
    uint64_t length = 0;
    WEIR_TRY(read(what, length));
    if (length > bound) return limit(offset, fmt::format("the length of {}", what), length, bound);
    if (length > left()) return cut_short(what, length);
    out = {reinterpret_cast<const char*>(bytes_.data()) + at_, length};
    at_ += length;
    return {};
  }

  // Keys and tensor names: printable ASCII, as the specification has it, so that they are safe in
  // messages and JSON.
  Status name_string(std::string_view what, uint64_t bound, std::string_view& out) {
    const uint64_t offset = at_;
    WEIR_TRY(string(what, bound, out));
    if (out.empty()) return corrupt(offset, "{} is empty", what);
    const auto bad = [](char c) { return c <= 0x20 || c == 0x7f; };  // also all bytes ≥ 0x80
    if (std::any_of(out.begin(), out.end(),
                    [&](char c) { return bad(static_cast<signed char>(c)); })) {
      return corrupt(offset, "{} '{}' holds bytes that are not printable ASCII", what, quoted(out));
    }
    return {};
  }

  Status metadata(uint64_t index) {
    Metadata entry;
    WEIR_TRY(name_string(fmt::format("metadata key {}", index), kMaxKeyBytes, entry.key));
    const std::string what = fmt::format("the value of key '{}'", quoted(entry.key));
    const uint64_t offset = at_;
    uint32_t type = 0;
    WEIR_TRY(read(what, type));
    entry.value.type = static_cast<ValueType>(type);
    entry.value.element_type = entry.value.type;
    if (entry.value.is_array()) {
      WEIR_TRY(array(what, entry.value));
    } else if (entry.value.type == ValueType::kString) {
      std::string_view text;
      WEIR_TRY(string(what, kMaxStringBytes, text));
      entry.value.raw = std::as_bytes(std::span(text.data(), text.size()));
    } else {
      const uint32_t size = scalar_bytes(entry.value.type);
      if (size == 0) return unknown_value_type(offset, what, type);
      WEIR_TRY(take(what, size, entry.value.raw));
      WEIR_TRY(check_bools(what, entry.value));
    }
    part_.metadata.push_back(entry);
    return {};
  }

  Error unknown_value_type(uint64_t offset, std::string_view what, uint32_t type) const {
    return corrupt(offset, "{} has the unknown type {} (known are 0 to 12)", what, type);
  }

  Status take(std::string_view what, uint64_t size, std::span<const std::byte>& out) {
    if (size > left()) return cut_short(what, size);
    out = bytes_.subspan(at_, size);
    at_ += size;
    return {};
  }

  Status check_bools(std::string_view what, const Value& value) const {
    if (value.element_type != ValueType::kBool) return {};
    for (const std::byte& b : value.raw) {
      if (b > std::byte{1})
        return corrupt(offset_of(&b), "{} holds a bool that is neither 0 nor 1", what);
    }
    return {};
  }

  uint64_t offset_of(const void* place) const {
    return static_cast<uint64_t>(static_cast<const std::byte*>(place) - bytes_.data());
  }

  Status array(std::string_view what, Value& value) {
    const uint64_t offset = at_;
    uint32_t type = 0;
    WEIR_TRY(read(what, type));
    value.element_type = static_cast<ValueType>(type);
    if (value.element_type == ValueType::kArray) {
      return make_error(
          ErrorCode::kUnsupported,
          "{}: {} (at byte {}) is an array of arrays, which weir does not read; convert the "
          "model again without this key",
          name_, what, offset);
    }
    WEIR_TRY(count(fmt::format("the element count of {}", what), kMaxArrayElements, value.count));
    if (value.element_type == ValueType::kString) {
      const uint64_t start = at_;
      // Checks each element; nothing is stored but the range of bytes.
      for (uint64_t i = 0; i < value.count; ++i) {
        std::string_view text;
        WEIR_TRY(string(what, kMaxStringBytes, text));
      }
      value.raw = bytes_.subspan(start, at_ - start);
      return {};
    }
    const uint32_t size = scalar_bytes(value.element_type);
    if (size == 0) return unknown_value_type(offset, fmt::format("the array of {}", what), type);
    WEIR_TRY(take(what, value.count * size, value.raw));  // count ≤ 2^24, size ≤ 8
    return check_bools(what, value);
  }

  Status sort_metadata() {
    auto& order = part_.metadata_order;
    order.resize(part_.metadata.size());
    std::iota(order.begin(), order.end(), 0U);
    const auto& all = part_.metadata;
    // Equal keys stay in file order, so that the second one is reported.
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return all[a].key < all[b].key; });
    for (size_t i = 1; i < order.size(); ++i) {
      const std::string_view key = all[order[i]].key;
      if (key != all[order[i - 1]].key) continue;
      return corrupt(offset_of(key.data()), "the key '{}' stands twice", quoted(key));
    }
    return {};
  }

  Status alignment() {
    for (const Metadata& entry : part_.metadata) {
      if (entry.key != "general.alignment") continue;
      const uint64_t value = entry.value.as_uint().value_or(0);
      const bool power_of_two = value != 0 && (value & (value - 1)) == 0;
      if (!power_of_two || value < kMinAlignment || value > kMaxAlignment) {
        return corrupt(offset_of(entry.key.data()),
                       "general.alignment is {}, not a power of two from {} to {}",
                       entry.value.to_text(), kMinAlignment, kMaxAlignment);
      }
      part_.alignment = value;
    }
    return {};
  }

  Status tensor(uint64_t index) {
    const uint64_t start = at_;
    Tensor t;
    std::string_view tensor_name;
    WEIR_TRY(
        name_string(fmt::format("the name of tensor {}", index), kMaxTensorNameBytes, tensor_name));
    t.name = tensor_name;
    const std::string what = fmt::format("the description of tensor '{}'", t.name);
    const uint64_t dims_offset = at_;
    uint32_t dims = 0;
    WEIR_TRY(read(what, dims));
    if (dims > kMaxDims) {
      return limit(dims_offset, fmt::format("the number of dimensions of tensor '{}'", t.name),
                   dims, kMaxDims);
    }
    t.shape.assign(std::max<uint32_t>(dims, 1), 1);  // no dimensions: one value
    for (uint32_t d = 0; d < dims; ++d) WEIR_TRY(read(what, t.shape[d]));
    uint32_t type = 0;
    const uint64_t type_offset = at_;
    WEIR_TRY(read(what, type));
    t.type = static_cast<TensorType>(type);
    Extent extent;
    WEIR_TRY(read(what, extent.offset));
    WEIR_TRY(tensor_bytes(t, start, type_offset, extent.bytes));
    if (extent.offset % part_.alignment != 0) {
      return corrupt(
          start, "the data of tensor '{}' starts at offset {}, not a multiple of the alignment {}",
          t.name, extent.offset, part_.alignment);
    }
    part_.tensors.push_back(std::move(t));
    extents_.push_back(extent);
    return {};
  }

  Status tensor_bytes(const Tensor& t, uint64_t start, uint64_t type_offset, uint64_t& out) const {
    const TypeInfo* info = type_info(t.type);
    if (info == nullptr) {
      return make_error(
          ErrorCode::kUnsupported,
          "{}: tensor '{}' has the unknown type {} (at byte {}); known are {}. Take a file in "
          "another format, or the file is damaged",
          name_, t.name, static_cast<uint32_t>(t.type), type_offset, known_type_names());
    }
    uint64_t elements = 1;
    bool fits_64_bits = true;
    for (const uint64_t d : t.shape) {
      if (d == 0) return corrupt(start, "tensor '{}' has a dimension of 0", t.name);
      fits_64_bits = fits_64_bits && checked_mul(elements, d, elements);
    }
    if (t.shape[0] % info->block_elements != 0) {
      return corrupt(start,
                     "tensor '{}' has rows of {} values, not a multiple of the {} in a block of {}",
                     t.name, t.shape[0], info->block_elements, info->name);
    }
    fits_64_bits =
        fits_64_bits && checked_mul(elements / info->block_elements, info->block_bytes, out);
    if (!fits_64_bits) return corrupt(start, "the size of tensor '{}' passes 64 bits", t.name);
    return {};
  }

  Status place_tensors() {
    if (part_.tensors.empty()) return {};
    // at_ ≤ file size < 2^63 and alignment ≤ 2^16: no overflow.
    const uint64_t data_start = (at_ + part_.alignment - 1) / part_.alignment * part_.alignment;
    std::vector<uint32_t> order(extents_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return extents_[a].offset < extents_[b].offset; });
    for (size_t i = order.size(); i-- > 0;) {
      const Extent& extent = extents_[order[i]];
      Tensor& t = part_.tensors[order[i]];
      uint64_t first = 0;
      uint64_t end = 0;
      const bool in_range =
          checked_add(data_start, extent.offset, first) && checked_add(first, extent.bytes, end);
      if (!in_range || end > bytes_.size()) return data_cut_short(t, in_range ? end : 0);
      if (i > 0) {
        const Extent& before = extents_[order[i - 1]];
        if (extent.offset - before.offset < before.bytes) {
          return corrupt(first, "the data of tensors '{}' and '{}' overlap",
                         part_.tensors[order[i - 1]].name, t.name);
        }
      }
      t.data = bytes_.subspan(first, extent.bytes);
    }
    return {};
  }

  Error data_cut_short(const Tensor& t, uint64_t end) const {
    const std::string wanted = end == 0 ? "more than 2^64" : fmt::format("{}", end);
    return make_error(
        ErrorCode::kCorrupt,
        "{} is {} bytes long, but tensor '{}' ends at byte {}: the file is cut short or damaged, "
        "download it again",
        name_, bytes_.size(), t.name, wanted);
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
  uint64_t at_ = 0;
  Part part_;
  std::vector<Extent> extents_;
};

}  // namespace

bool checked_add(uint64_t a, uint64_t b, uint64_t& out) {
  return !__builtin_add_overflow(a, b, &out);
}
bool checked_mul(uint64_t a, uint64_t b, uint64_t& out) {
  return !__builtin_mul_overflow(a, b, &out);
}

std::string quoted(std::string_view text) {
  constexpr size_t kMaxShown = 64;
  std::string out(text.substr(0, kMaxShown));
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) c = '?';
  }
  if (text.size() > kMaxShown) out += "...";
  return out;
}

Result<Part> parse_part(std::span<const std::byte> bytes, const std::string& name) {
  return Parser(bytes, name).run();
}

}  // namespace weir::gguf
