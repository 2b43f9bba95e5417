#include "gguf/writer.h"

#include <algorithm>
#include <cstring>

#include "gguf/parse.h"
#include "os/file.h"

namespace weir::gguf {

namespace {

constexpr uint32_t kVersion = 3;

void put_bytes(std::vector<std::byte>& out, const void* data, size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

template <typename T>
void put(std::vector<std::byte>& out, T value) {
  put_bytes(out, &value, sizeof value);
}

void put_string(std::vector<std::byte>& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  put_bytes(out, text.data(), text.size());
}

uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

bool printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

void Writer::fail(std::string message) {
  if (failure_.empty()) failure_ = std::move(message);
}

void Writer::begin_key(std::string_view key, ValueType type) {
  if (key.empty() || key.size() > kMaxKeyBytes || !printable_ascii(key)) {
    fail(fmt::format("the key '{}' is not 1 to {} printable ASCII characters", quoted(key),
                     kMaxKeyBytes));
  }
  if (keys_.size() >= kMaxMetadata) fail(fmt::format("more than {} metadata keys", kMaxMetadata));
  keys_.emplace_back(key);
  put_string(metadata_, key);
  put(metadata_, static_cast<uint32_t>(type));
}

void Writer::begin_array(std::string_view key, ValueType type, uint64_t count) {
  if (count > kMaxArrayElements) {
    fail(fmt::format("the array '{}' has {} elements, the most is {}", quoted(key), count,
                     kMaxArrayElements));
  }
  begin_key(key, ValueType::kArray);
  put(metadata_, static_cast<uint32_t>(type));
  put(metadata_, count);
}

void Writer::set_scalar(std::string_view key, ValueType type, const void* value, size_t bytes) {
  if (key == "general.alignment") {
    const uint64_t alignment =
        Value{type, type, 1, {static_cast<const std::byte*>(value), bytes}}.as_uint().value_or(0);
    const bool power_of_two = alignment != 0 && (alignment & (alignment - 1)) == 0;
    if (power_of_two && alignment >= kMinAlignment && alignment <= kMaxAlignment) {
      alignment_ = alignment;
    } else {
      fail(fmt::format("general.alignment {} is not a power of two from {} to {}", alignment,
                       kMinAlignment, kMaxAlignment));
    }
  }
  begin_key(key, type);
  put_bytes(metadata_, value, bytes);
}

void Writer::set_bool(std::string_view key, bool value) {
  const uint8_t byte = value ? 1 : 0;
  set_scalar(key, ValueType::kBool, &byte, 1);
}

void Writer::set_string(std::string_view key, std::string_view value) {
  if (value.size() > kMaxStringBytes) {
    fail(fmt::format("the string '{}' has {} bytes, the most is {}", quoted(key), value.size(),
                     kMaxStringBytes));
  }
  begin_key(key, ValueType::kString);
  put_string(metadata_, value);
}

void Writer::set_strings(std::string_view key, std::span<const std::string> values) {
  const std::vector<std::string_view> views(values.begin(), values.end());
  set_strings(key, std::span<const std::string_view>(views));
}

void Writer::set_strings(std::string_view key, std::span<const std::string_view> values) {
  begin_array(key, ValueType::kString, values.size());
  for (const std::string_view value : values) {
    if (value.size() > kMaxStringBytes)
      fail(fmt::format("a string of '{}' is too long", quoted(key)));
    put_string(metadata_, value);
  }
}

void Writer::set_ints(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, ValueType::kInt32, values.size());
  put_bytes(metadata_, values.data(), values.size_bytes());
}

void Writer::set_int64s(std::string_view key, std::span<const int64_t> values) {
  begin_array(key, ValueType::kInt64, values.size());
  put_bytes(metadata_, values.data(), values.size_bytes());
}

void Writer::set_uints(std::string_view key, std::span<const uint32_t> values) {
  begin_array(key, ValueType::kUint32, values.size());
  put_bytes(metadata_, values.data(), values.size_bytes());
}

void Writer::set_floats(std::string_view key, std::span<const float> values) {
  begin_array(key, ValueType::kFloat32, values.size());
  put_bytes(metadata_, values.data(), values.size_bytes());
}

void Writer::set(std::string_view key, const Value& value) {
  if (value.is_array()) {
    begin_array(key, value.element_type, value.count);
    put_bytes(metadata_, value.raw.data(), value.raw.size());
  } else if (const auto text = value.as_string()) {
    set_string(key, *text);
  } else {
    set_scalar(key, value.type, value.raw.data(), value.raw.size());
  }
}

void Writer::add_tensor(std::string_view name, TensorType type, std::span<const uint64_t> shape,
                        std::span<const std::byte> data) {
  add_entry(name, type, shape, data, data.size());
}

void Writer::declare_tensor(std::string_view name, TensorType type,
                            std::span<const uint64_t> shape) {
  const TypeInfo* info = type_info(type);
  uint64_t elements = 1;
  for (const uint64_t d : shape) {
    if (!checked_mul(elements, d, elements)) elements = 0;
  }
  const uint64_t bytes = info == nullptr ? 0 : elements / info->block_elements * info->block_bytes;
  add_entry(name, type, shape, {}, bytes);
}

void Writer::add_entry(std::string_view name, TensorType type, std::span<const uint64_t> shape,
                       std::span<const std::byte> data, uint64_t bytes) {
  if (name.empty() || name.size() > kMaxTensorNameBytes || !printable_ascii(name)) {
    fail(fmt::format("the tensor name '{}' is not 1 to {} printable ASCII characters", quoted(name),
                     kMaxTensorNameBytes));
  }
  if (tensors_.size() >= kMaxTensors) fail(fmt::format("more than {} tensors", kMaxTensors));
  const TypeInfo* info = type_info(type);
  uint64_t elements = 1;
  bool good = info != nullptr && !shape.empty() && shape.size() <= kMaxDims;
  for (const uint64_t d : shape) good = good && d > 0 && checked_mul(elements, d, elements);
  good = good && shape[0] % info->block_elements == 0 &&
         elements / info->block_elements == bytes / info->block_bytes &&
         bytes % info->block_bytes == 0;
  if (!good) {
    fail(fmt::format("tensor '{}': {} bytes do not fit {} values of {} in {} dimensions",
                     quoted(name), bytes, elements, type_name(type), shape.size()));
  }
  tensors_.push_back({std::string(name), type, {shape.begin(), shape.end()}, data, bytes});
}

std::vector<std::byte> Writer::header() const {
  std::vector<std::byte> out;
  put_bytes(out, "GGUF", 4);
  put(out, kVersion);
  put<uint64_t>(out, tensors_.size());
  put<uint64_t>(out, keys_.size());
  put_bytes(out, metadata_.data(), metadata_.size());
  uint64_t offset = 0;
  for (const TensorEntry& t : tensors_) {
    put_string(out, t.name);
    put(out, static_cast<uint32_t>(t.shape.size()));
    for (const uint64_t d : t.shape) put(out, d);
    put(out, static_cast<uint32_t>(t.type));
    put(out, offset);
    offset = align_up(offset + t.bytes, alignment_);
  }
  if (!tensors_.empty()) out.resize(align_up(out.size(), alignment_));
  return out;
}

namespace {

// The first text that stands twice, or nothing.
const std::string* duplicate(std::vector<const std::string*>& texts) {
  std::sort(texts.begin(), texts.end(), [](auto* a, auto* b) { return *a < *b; });
  const auto at =
      std::adjacent_find(texts.begin(), texts.end(), [](auto* a, auto* b) { return *a == *b; });
  return at == texts.end() ? nullptr : *at;
}

}  // namespace

Status Writer::check() const {
  std::vector<const std::string*> names;
  for (const std::string& key : keys_) names.push_back(&key);
  const std::string* twice = duplicate(names);
  if (twice != nullptr)
    return make_error(ErrorCode::kInvalidValue, "the key '{}' was set twice", *twice);
  names.clear();
  for (const TensorEntry& t : tensors_) names.push_back(&t.name);
  twice = duplicate(names);
  if (twice != nullptr)
    return make_error(ErrorCode::kInvalidValue, "the tensor '{}' was added twice", *twice);
  if (!failure_.empty()) return make_error(ErrorCode::kInvalidValue, "{}", failure_);
  return {};
}

Status Writer::write_to(const Sink& sink) const {
  WEIR_TRY(check());
  WEIR_TRY(sink(header()));
  const std::vector<std::byte> zeros(alignment_);
  for (const TensorEntry& t : tensors_) {
    if (t.data.size() != t.bytes) {
      return make_error(ErrorCode::kInternal, "the tensor '{}' was declared without data", t.name);
    }
    WEIR_TRY(sink(t.data));
    const uint64_t padding = align_up(t.data.size(), alignment_) - t.data.size();
    WEIR_TRY(sink(std::span(zeros).first(padding)));
  }
  return {};
}

Result<std::vector<std::byte>> Writer::to_header() const {
  WEIR_TRY(check());
  return header();
}

std::vector<TensorPlace> Writer::places() const {
  std::vector<TensorPlace> places;
  uint64_t offset = header().size();
  for (const TensorEntry& t : tensors_) {
    places.push_back({offset, t.bytes, align_up(t.bytes, alignment_)});
    offset += places.back().padded_bytes;
  }
  return places;
}

uint64_t Writer::file_bytes() const {
  uint64_t bytes = header().size();
  for (const TensorEntry& t : tensors_) bytes += align_up(t.bytes, alignment_);
  return bytes;
}

Result<TensorStream> Writer::begin_file(const std::string& path) const {
  WEIR_TRY(check());
  std::vector<uint64_t> sizes;
  for (const TensorEntry& t : tensors_) sizes.push_back(t.bytes);
  WEIR_ASSIGN(os::AtomicFile file, os::AtomicFile::create(path));
  WEIR_TRY(file.write(header()));
  return TensorStream(std::move(file), std::move(sizes), alignment_);
}

Status TensorStream::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  if (tensor_ >= sizes_.size() || bytes.size() > sizes_[tensor_] - done_) {
    return make_error(ErrorCode::kInternal, "tensor {} of {} got more bytes than were declared",
                      tensor_, sizes_.size());
  }
  WEIR_TRY(file_.write(bytes));
  done_ += bytes.size();
  if (done_ < sizes_[tensor_]) return {};
  const std::vector<std::byte> zeros(align_up(done_, alignment_) - done_);
  done_ = 0;
  ++tensor_;
  return file_.write(zeros);
}

Status TensorStream::commit() {
  if (tensor_ != sizes_.size()) {
    return make_error(ErrorCode::kInternal, "{} of {} tensors were written", tensor_,
                      sizes_.size());
  }
  return file_.commit();
}

Status Writer::write_file(const std::string& path) const {
  WEIR_ASSIGN(os::AtomicFile file, os::AtomicFile::create(path));
  WEIR_TRY(write_to([&](std::span<const std::byte> bytes) { return file.write(bytes); }));
  return file.commit();
}

Result<std::vector<std::byte>> Writer::to_bytes() const {
  std::vector<std::byte> out;
  WEIR_TRY(write_to([&](std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
    return Status();
  }));
  return out;
}

}  // namespace weir::gguf
