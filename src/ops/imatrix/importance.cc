#include "ops/imatrix/importance.h"

#include <sys/stat.h>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <system_error>

#include "gguf/file.h"
#include "gguf/writer.h"
#include "os/file.h"

namespace weir::ops {
namespace {

// The largest models' matrices have some 100 million columns in all.
constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;
constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr std::string_view kLargest = ".in_largest";
constexpr std::string_view kKeys = "k_cache";
constexpr std::string_view kValues = "v_cache";
constexpr std::string_view kCacheLargest = ".largest";
constexpr HashKey kFileKey{0x77656972, 0x696d6174};  // any; the hash names a file's contents

bool good(float value) { return std::isfinite(value) && value >= 0; }

std::string_view shown(std::string_view name) { return name.substr(0, 100); }

Status check_values(std::span<const float> values, std::string_view name, const std::string& file) {
  const auto bad = std::find_if_not(values.begin(), values.end(), good);
  if (bad == values.end()) return {};
  return make_error(ErrorCode::kCorrupt,
                    "{}: '{}' holds {}, which is no sum of squares or magnitude; collect it again",
                    file, shown(name), *bad);
}

// Checks the entries and puts them in order.
Status finish(ImportanceMatrix& m, const std::string& file) {
  std::sort(m.entries.begin(), m.entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t i = 0; i < m.entries.size(); ++i) {
    const ImportanceEntry& e = m.entries[i];
    if (i > 0 && m.entries[i - 1].name == e.name)
      return make_error(ErrorCode::kCorrupt, "{}: '{}' stands twice", file, shown(e.name));
    if (e.counts.empty() || e.sum_squares.empty() || e.sum_squares.size() % e.counts.size() != 0) {
      return make_error(ErrorCode::kCorrupt, "{}: '{}' has {} values for {} counts", file,
                        shown(e.name), e.sum_squares.size(), e.counts.size());
    }
    if (!e.largest.empty() && e.largest.size() != e.sum_squares.size()) {
      return make_error(ErrorCode::kCorrupt, "{}: '{}' has {} largest values for {} sums", file,
                        shown(e.name), e.largest.size(), e.sum_squares.size());
    }
    for (const auto* values : {&e.sum_squares, &e.counts, &e.largest})
      WEIR_TRY(check_values(*values, e.name, file));
  }
  if (m.entries.empty()) {
    return make_error(ErrorCode::kCorrupt, "{}: no importance of any matrix is in it", file);
  }
  return {};
}

Result<std::vector<float>> floats_of(const gguf::Tensor& t, const std::string& file) {
  if (t.type != gguf::TensorType::kF32) {
    return make_error(ErrorCode::kCorrupt, "{}: '{}' is {}; sums are F32", file, shown(t.name),
                      gguf::type_name(t.type));
  }
  std::vector<float> values(t.data.size() / sizeof(float));
  std::memcpy(values.data(), t.data.data(), values.size() * sizeof(float));
  return values;
}

std::string cache_name(int32_t layer, std::string_view what) {
  return fmt::format("blk.{}.{}{}", layer, what, kCacheLargest);
}

// The layer of "blk.N.k_cache.largest"; nothing for another name.
std::optional<int32_t> layer_of_keys(std::string_view name) {
  constexpr std::string_view kBlock = "blk.";
  if (!name.starts_with(kBlock)) return {};
  int32_t layer = 0;
  const char* const digits = name.data() + kBlock.size();
  if (std::from_chars(digits, name.data() + name.size(), layer).ec != std::errc() || layer < 0)
    return {};
  return name == cache_name(layer, kKeys) ? std::optional(layer) : std::nullopt;
}

// Of every layer that has some, ascending.
Result<std::vector<CachedLargest>> read_cache(const gguf::File& file, const std::string& path) {
  std::vector<CachedLargest> cache;
  for (const gguf::Tensor& keys : file.tensors()) {
    const std::optional<int32_t> layer = layer_of_keys(keys.name);
    if (!layer) continue;
    const gguf::Tensor* values = file.find_tensor(cache_name(*layer, kValues));
    if (values == nullptr) {
      return make_error(ErrorCode::kCorrupt, "{}: '{}' stands without {}", path, keys.name,
                        cache_name(*layer, kValues));
    }
    CachedLargest& c = cache.emplace_back();
    c.layer = *layer;
    WEIR_ASSIGN(c.keys, floats_of(keys, path));
    WEIR_ASSIGN(c.values, floats_of(*values, path));
    WEIR_TRY(check_values(c.keys, keys.name, path));
    WEIR_TRY(check_values(c.values, values->name, path));
  }
  std::sort(cache.begin(), cache.end(),
            [](const auto& a, const auto& b) { return a.layer < b.layer; });
  return cache;
}

Result<ImportanceMatrix> read_gguf(std::span<const std::byte> bytes, const std::string& path) {
  WEIR_ASSIGN(const gguf::File file, gguf::File::parse(bytes, path));
  WEIR_ASSIGN(const std::string_view type, file.string_or("general.type", "nothing"));
  if (type != "imatrix") {
    return make_error(ErrorCode::kCorrupt,
                      "{}: general.type is '{}'; that of an importance matrix is 'imatrix'", path,
                      shown(type));
  }
  ImportanceMatrix m;
  WEIR_ASSIGN(const uint64_t chunks, file.uint_or("imatrix.chunk_count", 0));
  WEIR_ASSIGN(const uint64_t chunk_tokens, file.uint_or("imatrix.chunk_size", 0));
  m.chunks = static_cast<uint32_t>(chunks);
  m.chunk_tokens = static_cast<uint32_t>(chunk_tokens);
  if (file.find("imatrix.datasets") != nullptr) {
    WEIR_ASSIGN(const std::vector<std::string_view> names, file.get_strings("imatrix.datasets"));
    m.datasets.assign(names.begin(), names.end());
  }
  WEIR_ASSIGN(m.windows, read_windows(file));
  WEIR_ASSIGN(m.cache, read_cache(file, path));
  for (const gguf::Tensor& t : file.tensors()) {
    if (!t.name.ends_with(kSums)) continue;
    ImportanceEntry entry;
    entry.name = t.name.substr(0, t.name.size() - kSums.size());
    const gguf::Tensor* counts = file.find_tensor(entry.name + std::string(kCounts));
    if (counts == nullptr) {
      return make_error(ErrorCode::kCorrupt, "{}: '{}' has no counts", path, shown(entry.name));
    }
    WEIR_ASSIGN(entry.sum_squares, floats_of(t, path));
    WEIR_ASSIGN(entry.counts, floats_of(*counts, path));
    if (const auto* largest = file.find_tensor(entry.name + std::string(kLargest))) {
      WEIR_ASSIGN(entry.largest, floats_of(*largest, path));
    }
    m.entries.push_back(std::move(entry));
  }
  WEIR_TRY(finish(m, path));
  return m;
}

// Takes a .dat apart from front to back.
class DatReader {
 public:
  DatReader(std::span<const std::byte> bytes, const std::string& name)
      : bytes_(bytes), name_(name) {}

  Result<int32_t> number(const char* what) {
    if (bytes_.size() - at_ < sizeof(int32_t)) return cut(what);
    int32_t value = 0;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    if (value < 0)
      return make_error(ErrorCode::kCorrupt, "{}: {} at byte {} is {}", name_, what, at_ - 4,
                        value);
    return value;
  }
  Result<std::span<const std::byte>> take(size_t size, const char* what) {
    if (bytes_.size() - at_ < size) return cut(what);
    const auto piece = bytes_.subspan(at_, size);
    at_ += size;
    return piece;
  }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  Error cut(const char* what) const {
    return make_error(ErrorCode::kCorrupt, "{}: ends at byte {} within {}", name_, bytes_.size(),
                      what);
  }
  std::span<const std::byte> bytes_;
  const std::string& name_;
  size_t at_ = 0;
};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<ImportanceEntry> read_entry(DatReader& reader) {
  ImportanceEntry entry;
  WEIR_ASSIGN(const int32_t length, reader.number("the length of a name"));
  WEIR_ASSIGN(const auto name, reader.take(static_cast<size_t>(length), "a name"));
  entry.name = text_of(name);
  WEIR_ASSIGN(const int32_t calls, reader.number("the calls of an entry"));
  WEIR_ASSIGN(const int32_t count, reader.number("the values of an entry"));
  WEIR_ASSIGN(const auto values, reader.take(static_cast<size_t>(count) * sizeof(float), "values"));
  entry.sum_squares.resize(static_cast<size_t>(count));
  if (count > 0) std::memcpy(entry.sum_squares.data(), values.data(), values.size());
  // 0 calls: the values are means.
  entry.counts = {calls > 0 ? static_cast<float>(calls) : 1.0F};
  return entry;
}

}  // namespace

size_t ImportanceEntry::unseen() const {
  return static_cast<size_t>(std::count(counts.begin(), counts.end(), 0.0F));
}

const ImportanceEntry* ImportanceMatrix::find(std::string_view name) const {
  const auto at = std::lower_bound(entries.begin(), entries.end(), name,
                                   [](const auto& e, std::string_view n) { return e.name < n; });
  return at != entries.end() && at->name == name ? &*at : nullptr;
}

const CachedLargest* ImportanceMatrix::cached(int32_t layer) const {
  const auto at = std::lower_bound(cache.begin(), cache.end(), layer,
                                   [](const auto& c, int32_t l) { return c.layer < l; });
  return at != cache.end() && at->layer == layer ? &*at : nullptr;
}

Status mean_squares(const ImportanceEntry& entry, size_t cols, size_t matrices,
                    std::vector<float>& out) {
  if (entry.sum_squares.size() != cols * matrices || matrices % entry.counts.size() != 0) {
    return make_error(ErrorCode::kCorrupt,
                      "the importance of '{}' has {} values in {} matrices, the tensor {} columns "
                      "in {}: it is of another model",
                      shown(entry.name), entry.sum_squares.size(), entry.counts.size(), cols,
                      matrices);
  }
  out.resize(entry.sum_squares.size());
  const size_t span = out.size() / entry.counts.size();
  for (size_t i = 0; i < out.size(); ++i) {
    const float count = entry.counts[i / span];
    out[i] = count > 0 ? entry.sum_squares[i] / count : 1.0F;
  }
  return {};
}

Result<std::span<const float>> largest_inputs(const ImportanceEntry& entry, size_t cols) {
  if (entry.largest.empty()) {
    return make_error(ErrorCode::kUnsupported,
                      "the importance matrix has no largest inputs of '{}'; collect it anew with "
                      "weir imatrix",
                      shown(entry.name));
  }
  if (entry.largest.size() != cols) {
    return make_error(ErrorCode::kCorrupt,
                      "'{}' has the largest inputs of {} columns, the tensor {}: they are of "
                      "another model",
                      shown(entry.name), entry.largest.size(), cols);
  }
  return std::span<const float>(entry.largest);
}

Result<ExpertInputs> expert_inputs(const ImportanceEntry& entry, size_t expert, size_t cols) {
  const size_t matrices = entry.sum_squares.size() / cols;
  if (entry.sum_squares.size() % cols != 0 || expert >= matrices ||
      matrices % entry.counts.size() != 0) {
    return make_error(ErrorCode::kCorrupt,
                      "the importance of '{}' has {} values in {} matrices, and none for expert {} "
                      "with {} columns: it is of another model",
                      shown(entry.name), entry.sum_squares.size(), entry.counts.size(), expert,
                      cols);
  }
  const size_t share = matrices / entry.counts.size();  // matrices of a count
  ExpertInputs found;
  found.seen = entry.counts[expert / share] > 0;
  const size_t first = found.seen ? expert : 0, end = found.seen ? expert + 1 : matrices;
  std::vector<double> sums(cols);
  double rows = 0;
  for (size_t m = first; m < end; ++m) {
    rows += static_cast<double>(entry.counts[m / share]);
    for (size_t i = 0; i < cols; ++i)
      sums[i] += static_cast<double>(entry.sum_squares[m * cols + i]);
    for (size_t i = 0; i < cols && !entry.largest.empty(); ++i)
      found.largest = std::max(found.largest, entry.largest[m * cols + i]);
  }
  for (const double sum : sums)
    found.means.push_back(rows > 0 ? static_cast<float>(sum / rows) : 1.0F);
  return found;
}

Result<ImportanceMatrix> parse_imatrix_dat(std::span<const std::byte> bytes,
                                           const std::string& name) {
  DatReader reader(bytes, name);
  ImportanceMatrix m;
  WEIR_ASSIGN(const int32_t entries, reader.number("the number of entries"));
  for (int32_t i = 0; i < entries; ++i) {
    WEIR_ASSIGN(ImportanceEntry entry, read_entry(reader));
    m.entries.push_back(std::move(entry));
  }
  WEIR_TRY(finish(m, name));
  if (reader.at_end()) return m;
  WEIR_ASSIGN(const int32_t chunks, reader.number("the number of chunks"));
  m.chunks = static_cast<uint32_t>(chunks);
  if (reader.at_end()) return m;
  WEIR_ASSIGN(const int32_t length, reader.number("the length of the data set's name"));
  WEIR_ASSIGN(const auto text, reader.take(static_cast<size_t>(length), "the data set's name"));
  m.datasets.push_back(text_of(text));
  return m;
}

Result<ImportanceMatrix> read_imatrix(const std::string& path) {
  struct stat info {};
  const bool known = ::stat(path.c_str(), &info) == 0;
  if (known && (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)))
    return make_error(ErrorCode::kIo, "{} is a device, not a file", path);
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxFileBytes));
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  const bool is_gguf = text.starts_with("GGUF");
  auto matrix = is_gguf ? read_gguf(bytes, path) : parse_imatrix_dat(bytes, path);
  if (!matrix.ok() && !is_gguf) {
    Error error = matrix.error();
    error.message +=
        "; it is no importance matrix, neither the GGUF file that weir imatrix writes "
        "nor an older .dat, or a damaged one";
    return error;
  }
  if (matrix.ok()) matrix->hash = keyed_hash(kFileKey, bytes);
  return matrix;
}

Status write_imatrix(const ImportanceMatrix& matrix, const std::string& path) {
  gguf::Writer writer;
  writer.set_string("general.type", "imatrix");
  writer.set_strings("imatrix.datasets", std::span<const std::string>(matrix.datasets));
  writer.set_uint("imatrix.chunk_count", matrix.chunks);
  writer.set_uint("imatrix.chunk_size", matrix.chunk_tokens);
  if (matrix.windows) write_windows(*matrix.windows, writer);
  for (const ImportanceEntry& e : matrix.entries) {
    const uint64_t matrices = e.counts.size();
    const uint64_t sums_shape[] = {e.sum_squares.size() / matrices, matrices};
    const uint64_t counts_shape[] = {1, matrices};
    writer.add_tensor(e.name + std::string(kSums), gguf::TensorType::kF32, sums_shape,
                      std::as_bytes(std::span(e.sum_squares)));
    writer.add_tensor(e.name + std::string(kCounts), gguf::TensorType::kF32, counts_shape,
                      std::as_bytes(std::span(e.counts)));
    if (e.largest.empty()) continue;
    writer.add_tensor(e.name + std::string(kLargest), gguf::TensorType::kF32, sums_shape,
                      std::as_bytes(std::span(e.largest)));
  }
  for (const CachedLargest& c : matrix.cache) {
    for (const auto& [what, largest] : {std::pair(kKeys, &c.keys), std::pair(kValues, &c.values)}) {
      const uint64_t shape[] = {largest->size()};
      writer.add_tensor(cache_name(c.layer, what), gguf::TensorType::kF32, shape,
                        std::as_bytes(std::span(*largest)));
    }
  }
  return writer.write_file(path);
}

}  // namespace weir::ops
