#include "checkpoint/quantize_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "checkpoint/families.h"
#include "checkpoint/finite_values.h"
#include "checkpoint/fold.h"
#include "checkpoint/folder.h"
#include "checkpoint/quantize_cache.h"
#include "checkpoint/quantize_matrix.h"
#include "checkpoint/safetensors_writer.h"
#include "os/atomic_folder.h"
#include "os/file.h"
#include "os/mapped_file.h"

namespace weir::checkpoint {
namespace {

namespace fs = std::filesystem;
using text::Json;

// Left free on the disk, for the directory and for others.
constexpr uint64_t kSpareBytes = 1 << 20;
constexpr std::string_view kConfig = "config.json";
constexpr std::string_view kWeight = ".weight";

// Files that hold weights in other forms; they would be those of another model.
constexpr std::array<std::string_view, 11> kWeightFiles = {
    ".safetensors", ".safetensors.index.json",
    ".bin",         ".bin.index.json",
    ".pt",          ".pth",
    ".gguf",        ".onnx",
    ".h5",          ".msgpack",
    ".ot"};

enum class Use : uint8_t {
  kQuantize,
  kLinear,   // a matrix that is multiplied with, but stays: the output, routers
  kUnknown,  // a matrix of no known use
  kOther,    // embeddings, norms, biases
};

// quantizes: else no form is needed for matrices.
Result<Use> use_of(const Family& family, const SafeTensor& t, bool quantizes) {
  const std::optional<Target> target = map_tensor(family, t.name);
  const bool matrix = t.shape.size() == 2 && t.name.ends_with(kWeight) && !t.data.empty();
  if (!target) return matrix ? Use::kUnknown : Use::kOther;
  if (quantizes && target->stack != Stack::kNone && t.shape.size() > 2) {
    return make_error(ErrorCode::kUnsupported,
                      "tensor {} holds all experts of a layer, for which these formats have no "
                      "form; save one matrix for each expert",
                      t.name);
  }
  if (!matrix) return Use::kOther;
  if (target->name == "output.weight") return Use::kLinear;
  if (!target->name.starts_with("blk.")) return Use::kOther;
  const bool router = target->name.find(".ffn_gate_inp") != std::string::npos;
  return router ? Use::kLinear : Use::kQuantize;
}

std::string module_of(std::string_view tensor) {
  return std::string(tensor.substr(0, tensor.size() - kWeight.size()));
}

// Engines multiply the matrices of a set as one and want one scale of the whole for it; "" for a
// matrix that stands alone.
std::string fused_set(const std::string& module) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kSets = {
      {{".q_proj", ".qkv"},
       {".k_proj", ".qkv"},
       {".v_proj", ".qkv"},
       {".gate_proj", ".gate_up"},
       {".up_proj", ".gate_up"},
       {".w1", ".gate_up"},
       {".w3", ".gate_up"}}};
  for (const auto& [part, set] : kSets) {
    if (module.ends_with(part))
      return module.substr(0, module.size() - part.size()) + std::string(set);
  }
  return module;
}

Result<const Family*> family_of(const Folder& folder, const Json& config) {
  for (const char* name : {"quantization_config", "compression_config"}) {
    const Json* q = config.find(name);
    if (q == nullptr || q->is_null()) continue;
    return make_error(ErrorCode::kUnsupported,
                      "{}: its weights are quantized already ({}); take the folder that it was "
                      "made from",
                      folder.file(kConfig), name);
  }
  const Json* type = config.find("model_type");
  const std::string name = type != nullptr && type->is_string() ? type->as_string() : "";
  const Family* family = find_family(name);
  if (family == nullptr) {
    return make_error(ErrorCode::kUnsupported, "{}: model_type {} is not known; known: {}",
                      folder.file(kConfig), text::json_quote(std::string_view(name).substr(0, 80)),
                      known_model_types());
  }
  if (family->encoder || family->transposed) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: these formats have no form for the matrices of {} models",
                      folder.file(kConfig), name);
  }
  return family;
}

// Files of a folder that go into the new one as they are, sorted.
Result<std::vector<std::string>> other_files(const Folder& folder) {
  std::error_code ec;
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder.path(), ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    const bool weights =
        std::any_of(kWeightFiles.begin(), kWeightFiles.end(),
                    [&](std::string_view suffix) { return name.ends_with(suffix); });
    if (weights || name == kConfig || name.starts_with('.')) continue;
    std::error_code ignored;
    if (it->is_regular_file(ignored)) names.push_back(name);
  }
  if (ec) return make_error(ErrorCode::kIo, "cannot read {}: {}", folder.path(), ec.message());
  std::sort(names.begin(), names.end());
  return names;
}

// A tensor of the source and what is made of it.
struct Step {
  const SafeTensor* source = nullptr;
  size_t first_part = 0;  // of its shard's parts
  size_t parts = 1;
  bool quantized = false;
  MatrixKey known_as = {};
};

// A scale of the KV cache.
struct CacheStep {
  size_t part = 0;  // of its shard's parts
  int32_t layer = 0;
  bool values = false;  // else keys
};

// What is known of the matrices before they are written.
struct Measured {
  std::map<std::string, float> largest;      // of sets, see fused_set()
  FolderCalibration* calibration = nullptr;  // or nullptr
};

struct ShardPlan {
  const Shard* shard = nullptr;
  std::vector<Step> steps;
  std::vector<CacheStep> cache;
  std::vector<SafeTensorInfo> parts;
};

}  // namespace

struct FolderPlan::State {
  State(const std::string& path, QuantizeScheme wanted) : folder(path), scheme(std::move(wanted)) {}

  Folder folder;
  QuantizeScheme scheme;
  Json config;
  std::vector<std::string> files;  // to copy
  std::vector<Shard> sources;
  std::vector<ShardPlan> shards;
  std::vector<Tensor> tensors;
  std::vector<std::string> unknown;
  uint64_t source_bytes = 0, bytes = 0, weights = 0;
  bool shift_norms = false;
  std::vector<FoldPlace> fold_places;
  std::vector<Place> places;  // the same
  std::map<const SafeTensor*, Fold> folds;
  std::map<const SafeTensor*, std::vector<std::byte>> norms;  // those that folds changed
  std::map<std::string, const SafeTensor*> known;             // by names of GGUF files, no experts

  Status read();
  Status plan(const Family& family);
  void find_places(const Family& family);
  Status add_cache_scales(const Family& family);
  Status add(const Family& family, ShardPlan& shard, const SafeTensor& t, Use use);
  uint64_t all_bytes() const;
  Result<std::map<std::string, float>> largest_of_sets(kernels::ThreadPool& pool) const;
  Status write_shard(const ShardPlan& shard, const os::AtomicFolder& out, const Measured& measured,
                     kernels::ThreadPool& pool,
                     const std::function<void(const SafeTensor&)>& done) const;
  Result<PartBytes> encode(const Step& step, const Measured& measured,
                           kernels::ThreadPool& pool) const;
  Result<float> scale_of(const CacheStep& step, FolderCalibration* calibration) const;
  Status check_cache_scales(FolderCalibration* calibration) const;
  Status write_texts(const os::AtomicFolder& out) const;
  Json index() const;
};

Status FolderPlan::State::read() {
  if (!folder.has(kConfig)) {
    return make_error(ErrorCode::kNotFound,
                      "{} is no folder of a Hugging Face model: there is no config.json in it",
                      folder.path());
  }
  WEIR_ASSIGN(config, folder.json(kConfig));
  WEIR_ASSIGN(const Family* family, family_of(folder, config));
  WEIR_ASSIGN(files, other_files(folder));
  WEIR_ASSIGN(sources, open_shards(folder));
  if (auto status = plan(*family); !status.ok()) return status.error().with_context(folder.path());
  return {};
}

Status FolderPlan::State::plan(const Family& family) {
  std::set<std::string> kept;
  if (scheme.quantizes()) kept.insert("lm_head");
  bool any = false;
  for (const Shard& source : sources) {
    ShardPlan& shard = shards.emplace_back();
    shard.shard = &source;
    for (const SafeTensor& t : source.tensors) {
      WEIR_ASSIGN(Use use, use_of(family, t, scheme.quantizes()));
      any = any || use == Use::kQuantize;
      if (!scheme.quantizes()) use = Use::kOther;
      WEIR_TRY(add(family, shard, t, use));
      if (use == Use::kLinear || use == Use::kUnknown) kept.insert(module_of(t.name));
      if (use == Use::kUnknown) unknown.push_back(module_of(t.name));
    }
  }
  if (!any) {
    return make_error(ErrorCode::kUnsupported, "none of its {} tensors is a matrix of a {} block",
                      tensors.size(), family.model_type);
  }
  find_places(family);
  if (scheme.fp8_cache) WEIR_TRY(add_cache_scales(family));
  config.set("quantization_config",
             quantization_config(scheme, std::vector<std::string>(kept.begin(), kept.end())));
  return {};
}

Status FolderPlan::State::add(const Family& family, ShardPlan& shard, const SafeTensor& t,
                              Use use) {
  Step step{&t, shard.parts.size(), 1, use == Use::kQuantize, {}};
  if (step.quantized) {
    const std::optional<Target> target = map_tensor(family, t.name);
    if (target) step.known_as = {target->name, target->expert};
    WEIR_ASSIGN(std::vector<SafeTensorInfo> parts, parts_of(scheme, t));
    step.parts = parts.size();
    std::move(parts.begin(), parts.end(), std::back_inserter(shard.parts));
  } else {
    shard.parts.push_back({t.name, t.dtype, t.shape});
  }
  Tensor described{t.name, 0, step.quantized};
  for (size_t i = 0; i < step.parts; ++i)
    described.bytes += shard.parts[step.first_part + i].bytes();
  source_bytes += t.data.size();
  bytes += described.bytes;
  weights += t.data.size() / dtype_bytes(t.dtype);
  tensors.push_back(std::move(described));
  shard.steps.push_back(step);
  return {};
}

void FolderPlan::State::find_places(const Family& family) {
  shift_norms = family.shift_norms;
  for (const Shard& source : sources) {
    for (const SafeTensor& t : source.tensors) {
      const std::optional<Target> target = map_tensor(family, t.name);
      if (target && target->expert < 0) known.emplace(target->name, &t);
    }
  }
  fold_places = checkpoint::fold_places(known);
  for (const FoldPlace& p : fold_places) {
    Place& place = places.emplace_back(Place{p.known_as, 0, p.readers.front()->shape[1]});
    for (const SafeTensor* reader : p.readers) place.rows += reader->shape[0];
  }
}

Status FolderPlan::State::add_cache_scales(const Family& family) {
  if (family.latent) {
    return make_error(ErrorCode::kUnsupported,
                      "models of type {} keep latent vectors in their cache, for which no scales "
                      "are made; leave --kv-cache out",
                      family.model_type);
  }
  for (ShardPlan& shard : shards) {
    for (const Step& step : shard.steps) {
      const std::optional<CacheModule> module = cache_module(family, step.source->name);
      if (!module) continue;
      for (const bool values : {false, true}) {
        shard.cache.push_back({shard.parts.size(), module->layer, values});
        shard.parts.push_back(
            {module->name + (values ? ".v_scale" : ".k_scale"), Dtype::kF32, {1}});
        bytes += shard.parts.back().bytes();
      }
    }
  }
  return {};
}

uint64_t FolderPlan::State::all_bytes() const {
  uint64_t sum = 0;
  for (const ShardPlan& s : shards) sum += safetensors_bytes(s.parts);
  for (const std::string& name : files) {
    std::error_code ec;
    const uintmax_t size = fs::file_size(folder.file(name), ec);
    if (!ec) sum += size;
  }
  return sum;
}

Result<std::map<std::string, float>> FolderPlan::State::largest_of_sets(
    kernels::ThreadPool& pool) const {
  std::map<std::string, float> largest;
  if (scheme.codes != QuantizeScheme::Codes::kNvfp4 && !scheme.whole) return largest;
  for (const ShardPlan& s : shards) {
    for (const Step& step : s.steps) {
      if (!step.quantized) continue;
      WEIR_ASSIGN(const float value, largest_value(*step.source, pool));
      float& of_set = largest[fused_set(module_of(step.source->name))];
      of_set = std::max(of_set, value);
      s.shard->mapping.dont_need(step.source->data);
    }
  }
  return largest;
}

Result<PartBytes> FolderPlan::State::encode(const Step& step, const Measured& measured,
                                            kernels::ThreadPool& pool) const {
  const SafeTensor& t = *step.source;
  const auto set = measured.largest.find(fused_set(module_of(t.name)));
  const float largest = set == measured.largest.end() ? 0 : set->second;
  const auto folded = folds.find(&t);
  const Fold* fold = folded == folds.end() ? nullptr : &folded->second;
  MatrixCalibration found;
  if (measured.calibration != nullptr && !step.known_as.name.empty()) {
    const auto columns = fold == nullptr ? std::span<const float>() : fold->columns;
    WEIR_ASSIGN(found, measured.calibration->of(step.known_as, t.shape[1], columns));
  }
  return encode_matrix(scheme, t, largest, pool, found, fold);
}

Status FolderPlan::State::write_shard(const ShardPlan& s, const os::AtomicFolder& out,
                                      const Measured& measured, kernels::ThreadPool& pool,
                                      const std::function<void(const SafeTensor&)>& done) const {
  WEIR_ASSIGN(auto writer, SafetensorsWriter::create(out.file(s.shard->file), s.parts));
  for (const Step& step : s.steps) {
    const SafeTensor& t = *step.source;
    if (step.quantized) {
      WEIR_ASSIGN(const PartBytes parts, encode(step, measured, pool));
      for (size_t i = 0; i < parts.size(); ++i)
        WEIR_TRY(writer.write(step.first_part + i, parts[i]));
    } else {
      WEIR_TRY(check_finite_values(t, pool));
      const auto norm = norms.find(&t);
      WEIR_TRY(writer.write(step.first_part, norm == norms.end() ? t.data : norm->second));
    }
    s.shard->mapping.dont_need(t.data);
    done(t);
  }
  for (const CacheStep& step : s.cache) {
    WEIR_ASSIGN(const float scale, scale_of(step, measured.calibration));
    WEIR_TRY(writer.write(step.part, std::as_bytes(std::span(&scale, 1))));
  }
  return writer.commit();
}

Result<float> FolderPlan::State::scale_of(const CacheStep& step,
                                          FolderCalibration* calibration) const {
  CacheCalibration found;
  if (calibration != nullptr) found = calibration->cache_of(step.layer);
  // Of keys nothing is folded: the factors of their columns and of the norm before cancel out.
  std::span<const float> factors;
  const auto made_by = [&](char letter) {
    return known.find(fmt::format("blk.{}.attn_{}.weight", step.layer, letter));
  };
  const auto v = made_by('v');
  const auto folded = v == known.end() ? folds.end() : folds.find(v->second);
  if (step.values && folded != folds.end()) factors = folded->second.rows;
  const std::span<const float> largest = step.values ? found.values : found.keys;
  // Joined matrices of q, k and v have another number of rows.
  const auto maker = step.values ? v : made_by('k');
  if (maker != known.end() && !largest.empty() && largest.size() != maker->second->shape[0]) {
    return make_error(ErrorCode::kCorrupt,
                      "layer {}: {} columns of the cache were measured, and tensor {} makes {}: "
                      "the importance matrix is of another model",
                      step.layer, largest.size(), maker->second->name, maker->second->shape[0]);
  }
  auto scale = cache_scale(largest, factors);
  if (!scale.ok()) return scale.error().with_context(fmt::format("layer {}", step.layer));
  return scale;
}

Status FolderPlan::State::check_cache_scales(FolderCalibration* calibration) const {
  for (const ShardPlan& s : shards) {
    for (const CacheStep& step : s.cache) {
      const auto scale = scale_of(step, calibration);
      if (!scale.ok()) return scale.error();
    }
  }
  return {};
}

Json FolderPlan::State::index() const {
  std::map<std::string, std::string> where;
  for (const ShardPlan& s : shards) {
    for (const SafeTensorInfo& p : s.parts) where[p.name] = s.shard->file;
  }
  Json map = Json::object();
  for (const auto& [name, file] : where) map.members().emplace_back(name, file);
  Json metadata = Json::object();
  metadata.set("total_size", static_cast<int64_t>(bytes));
  Json index = Json::object();
  index.set("metadata", std::move(metadata));
  index.set("weight_map", std::move(map));
  return index;
}

Status FolderPlan::State::write_texts(const os::AtomicFolder& out) const {
  for (const std::string& name : files) {
    WEIR_ASSIGN(const os::MappedFile source, os::MappedFile::open(folder.file(name)));
    WEIR_TRY(os::write_file_atomic(out.file(name), source.bytes()));
  }
  const text::JsonDump style{.indent = 2, .item = ",", .key = ": "};
  if (folder.has(kShardIndex))
    WEIR_TRY(os::write_file_atomic(out.file(kShardIndex), index().dump(style) + "\n"));
  return os::write_file_atomic(out.file(kConfig), config.dump(style) + "\n");
}

FolderPlan::FolderPlan(std::unique_ptr<State> state) : state_(std::move(state)) {}
FolderPlan::FolderPlan(FolderPlan&&) noexcept = default;
FolderPlan& FolderPlan::operator=(FolderPlan&&) noexcept = default;
FolderPlan::~FolderPlan() = default;

const QuantizeScheme& FolderPlan::scheme() const { return state_->scheme; }
const std::vector<FolderPlan::Tensor>& FolderPlan::tensors() const { return state_->tensors; }
uint64_t FolderPlan::source_bytes() const { return state_->source_bytes; }
uint64_t FolderPlan::bytes() const { return state_->bytes; }
uint64_t FolderPlan::weights() const { return state_->weights; }
const std::vector<std::string>& FolderPlan::unknown() const { return state_->unknown; }
const std::vector<FolderPlan::Place>& FolderPlan::places() const { return state_->places; }

Result<std::vector<float>> FolderPlan::sample(size_t place, size_t most_rows) const {
  const size_t rows = places()[place].rows;
  const size_t step = most_rows == 0 ? 1 : (rows + most_rows - 1) / most_rows;
  std::vector<float> values, row;
  size_t first = 0;  // row of the reader that is next
  for (const SafeTensor* reader : state_->fold_places[place].readers) {
    for (; first < reader->shape[0]; first += step) {
      if (auto status = read_rows(*reader, first, 1, row); !status.ok())
        return status.error().with_context(fmt::format("tensor {}", reader->name));
      values.insert(values.end(), row.begin(), row.end());
    }
    first -= reader->shape[0];
  }
  return values;
}

Status FolderPlan::round_trip(size_t place, size_t /*most_rows*/, std::span<const float> weights,
                              std::span<float> values) const {
  checkpoint::round_trip(state_->scheme, *state_->fold_places[place].readers.front(), weights,
                         values);
  return {};
}

void FolderPlan::fold(size_t place, std::vector<float> factors) {
  const FoldPlace& p = state_->fold_places[place];
  if (p.norm) {
    state_->norms[p.maker] = divide_norm(*p.maker, state_->shift_norms, factors);
  } else {
    std::vector<float>& rows = state_->folds[p.maker].rows;
    for (const float f : factors) rows.push_back(1 / f);
  }
  for (const SafeTensor* reader : p.readers) state_->folds[reader].columns = factors;
}

Result<FolderPlan> FolderPlan::make(const std::string& path, const QuantizeScheme& scheme) {
  std::error_code ec;
  if (!fs::is_directory(path, ec)) {
    return make_error(ErrorCode::kUnsupported,
                      "{} is a file; formats for GPU engines are made of the Hugging Face folder "
                      "(config.json and *.safetensors) that it came from",
                      path);
  }
  auto state = std::make_unique<State>(path, scheme);
  WEIR_TRY(state->read());
  return FolderPlan(std::move(state));
}

Status FolderPlan::write(const std::string& out, kernels::ThreadPool& pool,
                         FolderCalibration* calibration,
                         const std::function<void(const Progress&)>& progress) const {
  WEIR_ASSIGN(os::AtomicFolder target, os::AtomicFolder::create(out));
  WEIR_ASSIGN(const uint64_t free, os::free_disk_bytes(target.file(kConfig)));
  if (const uint64_t needed = state_->all_bytes(); free < needed + kSpareBytes) {
    return make_error(ErrorCode::kIo,
                      "{} will have {} bytes, {} more must stay free, and the disk has {}; make "
                      "room or write elsewhere",
                      out, needed, kSpareBytes, free);
  }
  WEIR_TRY(state_->check_cache_scales(calibration));
  Measured measured{{}, calibration};
  WEIR_ASSIGN(measured.largest, state_->largest_of_sets(pool));
  Progress state;
  state.all_bytes = source_bytes();
  for (const ShardPlan& s : state_->shards) {
    WEIR_TRY(state_->write_shard(s, target, measured, pool, [&](const SafeTensor& t) {
      state.done_bytes += t.data.size();
      state.tensor = t.name;
      if (progress) progress(state);
    }));
  }
  WEIR_TRY(state_->write_texts(target));
  return target.commit();
}

}  // namespace weir::checkpoint
