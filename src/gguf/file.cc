#include "gguf/file.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <utility>

#include "gguf/parse.h"
#include "gguf/split.h"

namespace weir::gguf {

uint64_t Tensor::elements() const { return shape.empty() ? 0 : shape[0] * rows(); }

uint64_t Tensor::rows() const {
  uint64_t n = 1;
  for (size_t d = 1; d < shape.size(); ++d) n *= shape[d];
  return n;
}

Result<File> File::open(const std::string& path) {
  WEIR_ASSIGN(os::MappedFile mapping, os::MappedFile::open(path));
  WEIR_ASSIGN(File file, parse(mapping.bytes(), path));
  file.mappings_.push_back(std::move(mapping));
  WEIR_ASSIGN(const uint64_t count, file.uint_or(kSplitCountKey, 1));
  if (count > 1) WEIR_TRY(file.open_siblings(count));
  return file;
}

Result<File> File::parse(std::span<const std::byte> bytes, const std::string& name) {
  WEIR_ASSIGN(Part part, parse_part(bytes, name));
  File file;
  file.path_ = name;
  file.metadata_ = std::move(part.metadata);
  file.metadata_order_ = std::move(part.metadata_order);
  file.tensors_ = std::move(part.tensors);
  file.version_ = part.version;
  file.alignment_ = part.alignment;
  file.total_bytes_ = bytes.size();
  WEIR_TRY(file.index());
  return file;
}

Result<File> File::assemble(Parts parts) {
  WEIR_ASSIGN(File file, parse(parts.metadata, parts.path));
  file.assembled_metadata_ = std::move(parts.metadata);  // the views into it stay valid
  file.tensors_ = std::move(parts.tensors);
  file.mappings_ = std::move(parts.mappings);
  file.buffers_ = std::move(parts.buffers);
  file.total_bytes_ = parts.total_bytes;
  file.part_count_ = std::max<size_t>(1, file.mappings_.size());
  WEIR_TRY(file.index());
  return file;
}

Status File::index() {
  tensor_order_.resize(tensors_.size());
  std::iota(tensor_order_.begin(), tensor_order_.end(), 0U);
  std::sort(tensor_order_.begin(), tensor_order_.end(),
            [&](uint32_t a, uint32_t b) { return tensors_[a].name < tensors_[b].name; });
  for (size_t i = 1; i < tensor_order_.size(); ++i) {
    const Tensor& t = tensors_[tensor_order_[i]];
    if (t.name != tensors_[tensor_order_[i - 1]].name) continue;
    return make_error(ErrorCode::kCorrupt,
                      "{}: the tensor '{}' stands twice (entries {} and {}); the file is damaged: "
                      "download or convert it again",
                      path_, t.name, std::min(tensor_order_[i], tensor_order_[i - 1]),
                      std::max(tensor_order_[i], tensor_order_[i - 1]));
  }
  return {};
}

Status File::open_siblings(uint64_t count) {
  if (count > kMaxParts) {
    return make_error(ErrorCode::kLimit, "{}: {} is {}, more than the {} parts that weir reads",
                      path_, kSplitCountKey, count, kMaxParts);
  }
  WEIR_ASSIGN(const uint64_t number, get_uint(kSplitNumberKey));
  const std::optional<SplitName> name = parse_split_name(path_);
  if (!name || name->count != count || name->number != number + 1) {
    return make_error(
        ErrorCode::kCorrupt,
        "{} is part {} of {} by its metadata, but its name does not end in -{:05}-of-{:05}.gguf: "
        "rename the parts",
        path_, number + 1, count, number + 1, count);
  }
  if (number != 0) {
    return make_error(ErrorCode::kUsage, "{} is part {} of {}: open the first part, {}", path_,
                      number + 1, count, name->part(1));
  }
  for (uint64_t i = 1; i < count; ++i) WEIR_TRY(add_part(name->part(i + 1), i, count));
  part_count_ = count;
  WEIR_ASSIGN(const uint64_t tensors, uint_or(kSplitTensorsKey, tensors_.size()));
  if (tensors != tensors_.size()) {
    return make_error(ErrorCode::kCorrupt,
                      "{}: {} says {} tensors, but the {} parts hold {}: download all parts again",
                      path_, kSplitTensorsKey, tensors, count, tensors_.size());
  }
  return index();
}

Status File::add_part(const std::string& path, uint64_t number, uint64_t count) {
  Result<os::MappedFile> mapping = os::MappedFile::open(path);
  if (!mapping.ok()) {
    return mapping.error().with_context(fmt::format(
        "part {} of {} of {} is missing or unreadable; put all parts into one directory",
        number + 1, count, path_));
  }
  WEIR_ASSIGN(File part, parse(mapping->bytes(), path));
  WEIR_ASSIGN(const uint64_t part_number, part.get_uint(kSplitNumberKey));
  WEIR_ASSIGN(const uint64_t part_count, part.get_uint(kSplitCountKey));
  if (part_number != number || part_count != count) {
    return make_error(ErrorCode::kCorrupt,
                      "{} says it is part {} of {}, its name says {} of {}: the parts belong to "
                      "different models or "
                      "were renamed",
                      path, part_number + 1, part_count, number + 1, count);
  }
  if (tensors_.size() + part.tensors_.size() > kMaxTensors) {
    return make_error(ErrorCode::kLimit,
                      "{}: the parts hold more than the {} tensors that weir reads", path_,
                      kMaxTensors);
  }
  std::move(part.tensors_.begin(), part.tensors_.end(), std::back_inserter(tensors_));
  total_bytes_ += part.total_bytes_;
  mappings_.push_back(std::move(mapping).value());
  return {};
}

const Value* File::find(std::string_view key) const {
  const auto at =
      std::lower_bound(metadata_order_.begin(), metadata_order_.end(), key,
                       [&](uint32_t i, std::string_view k) { return metadata_[i].key < k; });
  if (at == metadata_order_.end() || metadata_[*at].key != key) return nullptr;
  return &metadata_[*at].value;
}

const Tensor* File::find_tensor(std::string_view name) const {
  const auto at =
      std::lower_bound(tensor_order_.begin(), tensor_order_.end(), name,
                       [&](uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  if (at == tensor_order_.end() || tensors_[*at].name != name) return nullptr;
  return &tensors_[*at];
}

void File::release(std::string_view prefix, Release release) const {
  if (prefix.empty()) {
    for (const os::MappedFile& mapping : mappings_) mapping.dont_need();
  }
  std::vector<std::span<const std::byte>> parts;
  auto at = std::lower_bound(tensor_order_.begin(), tensor_order_.end(), prefix,
                             [&](uint32_t i, std::string_view p) { return tensors_[i].name < p; });
  for (; at != tensor_order_.end() && tensors_[*at].name.starts_with(prefix); ++at)
    parts.push_back(tensors_[*at].data);
  std::sort(parts.begin(), parts.end(),
            [](const auto& a, const auto& b) { return a.data() < b.data(); });
  for (const auto& buffer : buffers_) {
    const auto found =
        std::lower_bound(parts.begin(), parts.end(), buffer.get(),
                         [](const auto& part, const std::byte* p) { return part.data() < p; });
    if (release == Release::kForGood && found != parts.end() && found->data() == buffer.get())
      os::discard_pages({buffer.get(), found->size()});
  }
  for (size_t i = 0; i < parts.size();) {
    // Neighbours go together: a call to the system each takes longer than what it saves.
    const std::byte* begin = parts[i].data();
    const std::byte* end = begin + parts[i].size();
    for (++i; i < parts.size() && static_cast<uint64_t>(parts[i].data() - end) < kMaxAlignment; ++i)
      end = parts[i].data() + parts[i].size();
    for (const os::MappedFile& mapping : mappings_)
      mapping.dont_need({begin, static_cast<size_t>(end - begin)});
  }
}

}  // namespace weir::gguf
