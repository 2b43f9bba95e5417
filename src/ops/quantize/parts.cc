#include "ops/quantize/parts.h"

#include "ops/eval/fingerprint.h"

namespace weir::ops {
namespace {

// Keys of the source that its quantized file does not take over.
bool replaced(std::string_view key) {
  return key == "general.file_type" || key == "general.quantization_version" ||
         key.starts_with("split.") || key.starts_with("quantize.") ||
         key.starts_with("weir.quantize.") || is_windows_key(key);
}

gguf::Writer metadata(const gguf::File& file, const QuantizePlan& plan,
                      const Calibration& calibration, const Provenance& from) {
  const ImportanceMatrix* importance = calibration.importance;
  gguf::Writer writer;
  for (const gguf::Metadata& m : file.metadata()) {
    const bool old_rotation = !from.rotations.empty() && m.key.starts_with("weir.rotation.");
    if (!replaced(m.key) && !old_rotation) writer.set(m.key, m.value);
  }
  writer.set_uint("general.quantization_version", 2);
  writer.set_uint("general.file_type", plan.mix.file_type);
  writer.set_string("weir.quantize.version", from.version);
  writer.set_string("weir.quantize.type", plan.mix.name);
  writer.set_string("weir.quantize.source", from.source);
  writer.set_string("weir.quantize.source_identity", hex(from.source_identity));
  writer.set_bool("weir.quantize.requantized", plan.requantized > 0);
  if (importance != nullptr) {
    // The keys of llama-quantize.
    writer.set_string("quantize.imatrix.file", from.importance_file);
    if (!importance->datasets.empty())
      writer.set_string("quantize.imatrix.dataset", importance->datasets.back());
    writer.set_int("quantize.imatrix.entries_count",
                   static_cast<int32_t>(importance->entries.size()));
    writer.set_int("quantize.imatrix.chunks_count", static_cast<int32_t>(importance->chunks));
    writer.set_string("weir.quantize.imatrix_hash", hex(importance->hash));
  }
  if (!from.method.empty()) writer.set_string("weir.quantize.method", from.method);
  if (calibration.moments != nullptr) {
    writer.set_string("weir.quantize.moments_file", from.moments_file);
    writer.set_string("weir.quantize.moments_hash", hex(calibration.moments->hash()));
  }
  if (!from.rotations.empty()) {  // stays with the file when that is quantized again
    writer.set_string("weir.rotation.rotations", from.rotations);
    writer.set_string("weir.rotation.transform_type", from.transform_type);
    if (from.rotation_seed) writer.set_uint64("weir.rotation.seed", *from.rotation_seed);
  }
  if (from.windows) {
    write_windows(*from.windows, writer);
    writer.set_string("weir.calibration.hash", hex(windows_hash(*from.windows)));
  }
  return writer;
}

void set_split(gguf::Writer& writer, size_t number, size_t count, size_t tensors) {
  writer.set_uint16(gguf::kSplitNumberKey, static_cast<uint16_t>(number));
  writer.set_uint16(gguf::kSplitCountKey, static_cast<uint16_t>(count));
  writer.set_int(gguf::kSplitTensorsKey, static_cast<int32_t>(tensors));
}

void declare(gguf::Writer& writer, const PlannedTensor& p) {
  writer.declare_tensor(p.source->name, p.type, p.source->shape);
}

// Padding is counted at its most.
gguf::SplitSizes sizes_of(const QuantizePlan& plan, const gguf::Writer& first, uint64_t alignment) {
  gguf::SplitSizes sizes;
  gguf::Writer other, split;
  set_split(split, 0, 1, plan.tensors.size());
  set_split(other, 0, 1, plan.tensors.size());
  const uint64_t empty = gguf::Writer().file_bytes();
  sizes.first_bytes = first.file_bytes() + split.file_bytes() - empty + alignment;
  sizes.other_bytes = other.file_bytes() + alignment;
  for (const PlannedTensor& p : plan.tensors) {
    gguf::Writer one;
    declare(one, p);
    const gguf::TensorPlace place = one.places().front();
    const uint64_t padded = (place.bytes + alignment - 1) / alignment * alignment;
    sizes.tensors.push_back({place.offset - empty, padded});
  }
  return sizes;
}

}  // namespace

Result<std::vector<QuantizedPart>> make_parts(const gguf::File& file, const QuantizePlan& plan,
                                              const Calibration& calibration,
                                              const Provenance& provenance, const std::string& path,
                                              const std::optional<gguf::SplitLimits>& split) {
  const size_t all = plan.tensors.size();
  std::vector<QuantizedPart> parts;
  parts.push_back({path, metadata(file, plan, calibration, provenance), 0, all});
  if (split) {
    if (gguf::parse_split_name(path)) {
      return make_error(ErrorCode::kUsage,
                        "{} ends like a part already; give the model's name, the parts get numbers",
                        path);
    }
    WEIR_ASSIGN(const std::vector<size_t> counts,
                gguf::divide(sizes_of(plan, parts.front().writer, file.alignment()), *split));
    const std::string stem = path.ends_with(".gguf") ? path.substr(0, path.size() - 5) : path;
    const gguf::SplitName name{stem, 1, counts.size()};
    parts.resize(counts.size());
    size_t first = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      parts[i].path = name.part(i + 1);
      parts[i].first = first;
      parts[i].count = counts[i];
      first += counts[i];
      set_split(parts[i].writer, i, counts.size(), all);
    }
  }
  for (QuantizedPart& part : parts) {
    for (size_t i = 0; i < part.count; ++i) declare(part.writer, plan.tensors[part.first + i]);
  }
  return parts;
}

}  // namespace weir::ops
