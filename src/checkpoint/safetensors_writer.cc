#include "checkpoint/safetensors_writer.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "text/json.h"

namespace weir::checkpoint {
namespace {

using text::Json;

struct Layout {
  std::string head;               // length and JSON, padded to 8 bytes
  std::vector<uint64_t> offsets;  // in the data, of each tensor
  uint64_t data_bytes = 0;
};

Layout lay_out(const std::vector<SafeTensorInfo>& tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return dtype_bytes(tensors[a].dtype) > dtype_bytes(tensors[b].dtype);
  });
  Layout out;
  out.offsets.resize(tensors.size());
  Json metadata = Json::object();
  metadata.set("format", "pt");  // transformers asks for it
  Json header = Json::object();
  header.set("__metadata__", std::move(metadata));
  for (const size_t i : order) {
    const SafeTensorInfo& t = tensors[i];
    out.offsets[i] = out.data_bytes;
    out.data_bytes += t.bytes();
    Json shape = Json::array();
    for (const uint64_t d : t.shape) shape.push_back(static_cast<int64_t>(d));
    Json range = Json::array();
    range.push_back(static_cast<int64_t>(out.offsets[i]));
    range.push_back(static_cast<int64_t>(out.data_bytes));
    Json entry = Json::object();
    entry.set("dtype", dtype_name(t.dtype));
    entry.set("shape", std::move(shape));
    entry.set("data_offsets", std::move(range));
    header.members().emplace_back(t.name, std::move(entry));  // set() would search all names
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  out.head.resize(sizeof length);
  std::memcpy(out.head.data(), &length, sizeof length);
  out.head += text;
  return out;
}

}  // namespace

uint64_t SafeTensorInfo::bytes() const {
  return std::accumulate(shape.begin(), shape.end(), dtype_bytes(dtype), std::multiplies<>());
}

uint64_t safetensors_bytes(const std::vector<SafeTensorInfo>& tensors) {
  const Layout layout = lay_out(tensors);
  return layout.head.size() + layout.data_bytes;
}

Result<SafetensorsWriter> SafetensorsWriter::create(const std::string& path,
                                                    const std::vector<SafeTensorInfo>& tensors) {
  Layout layout = lay_out(tensors);
  WEIR_ASSIGN(os::AtomicFile file, os::AtomicFile::create(path));
  WEIR_TRY(file.write(std::as_bytes(std::span(layout.head))));
  for (uint64_t& offset : layout.offsets) offset += layout.head.size();
  return SafetensorsWriter(std::move(file), std::move(layout.offsets));
}

Status SafetensorsWriter::write(size_t i, std::span<const std::byte> bytes) {
  return file_.write_at(offsets_[i], bytes);
}

}  // namespace weir::checkpoint
