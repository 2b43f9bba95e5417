#include "ops/imatrix/unfinished.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>

#include "ops/eval/fingerprint.h"
#include "os/file.h"
#include "os/mapped_file.h"

namespace weir::ops {
namespace {

constexpr std::string_view kMagic = "weirimx1";
constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kHashBytes = 16;
constexpr uint32_t kMaxPairs = 64;
constexpr uint32_t kMaxTextBytes = 4096;
constexpr uint64_t kMaxCols = 1 << 20;  // no product of two overflows
// Second moments: the largest models have some 1,000; a small one takes 16 KiB of memory.
constexpr uint32_t kMaxMoments = 4096;

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kMostStepNs = 30 * kSecondNs;
constexpr int64_t kWorkOfKeeping = 19;  // times as long: a twentieth of all
// A guess for the first time: a slow disk's. What was measured counts afterwards.
constexpr uint64_t kGuessedBytesPerSecond = 200 << 20;

uint64_t triangle(uint64_t cols) { return cols * (cols + 1) / 2; }

// Bytes on their way to the disk, hashed piece by piece.
class HashedFile {
 public:
  static Result<HashedFile> create(const std::string& path) {
    WEIR_ASSIGN(os::AtomicFile file, os::AtomicFile::create(path));
    return HashedFile(std::move(file));
  }

  Status put_bytes(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min(bytes.size(), kPieceBytes - piece_.size()));
      piece_.insert(piece_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (piece_.size() == kPieceBytes) WEIR_TRY(flush());
    }
    return {};
  }
  template <typename T>
  Status put(T value) {
    return put_bytes(std::as_bytes(std::span(&value, 1)));
  }
  template <typename T>
  Status put_all(const std::vector<T>& values) {
    return put_bytes(std::as_bytes(std::span(values)));
  }
  Status put_text(std::string_view text) {
    WEIR_TRY(put(static_cast<uint32_t>(text.size())));
    return put_bytes(std::as_bytes(std::span(text)));
  }

  Status commit() {
    if (!piece_.empty()) WEIR_TRY(flush());
    const auto hash = bytes_hash(hashes_).bytes();
    WEIR_TRY(file_.write(hash));
    return file_.commit();
  }

 private:
  explicit HashedFile(os::AtomicFile file) : file_(std::move(file)) { piece_.reserve(kPieceBytes); }

  Status flush() {
    const auto hash = bytes_hash(piece_).bytes();
    hashes_.insert(hashes_.end(), hash.begin(), hash.end());
    WEIR_TRY(file_.write(piece_));
    piece_.clear();
    return {};
  }

  os::AtomicFile file_;
  std::vector<std::byte> piece_, hashes_;
};

bool has_its_hash(std::span<const std::byte> bytes) {
  std::vector<std::byte> hashes;
  const auto told = bytes.last<kHashBytes>();
  bytes = bytes.first(bytes.size() - kHashBytes);
  hashes.reserve((bytes.size() / kPieceBytes + 1) * kHashBytes);
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kPieceBytes))) {
    const auto hash = bytes_hash(bytes.first(std::min(bytes.size(), kPieceBytes))).bytes();
    hashes.insert(hashes.end(), hash.begin(), hash.end());
  }
  return bytes_hash(hashes) == Hash128::from_bytes(told);
}

// Numbers from the front of bytes. What is not there reads as 0, and ok() is false from then on.
class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <typename T>
  T take() {
    T value{};
    take_into(std::span(&value, 1));
    return value;
  }
  template <typename T>
  void take_into(std::span<T> values) {
    if (!holds<T>(values.size())) return fail();
    if (values.empty()) return;
    std::memcpy(values.data(), rest_.data(), values.size_bytes());
    rest_ = rest_.subspan(values.size_bytes());
  }
  // Memory for no more than the file holds.
  template <typename T>
  std::vector<T> take_all(uint64_t count) {
    if (!holds<T>(count)) {
      fail();
      return {};
    }
    std::vector<T> values(count);
    take_into(std::span(values));
    return values;
  }
  template <typename T>
  bool holds(uint64_t count) const {
    return count <= rest_.size() / sizeof(T);
  }

  void fail() {
    ok_ = false;
    rest_ = {};
  }
  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

InputKey take_key(Bytes& from) {
  const auto layer = from.take<int32_t>();
  const auto input = from.take<int32_t>();
  if (layer < 0 || input < 0 || input > static_cast<int32_t>(model::MatrixInput::kCachedValues))
    from.fail();
  return {layer, static_cast<model::MatrixInput>(input)};
}

RunFingerprint take_run(Bytes& from) {
  RunFingerprint run;
  const auto pairs = from.take<uint32_t>();
  if (pairs > kMaxPairs) from.fail();
  for (uint32_t i = 0; i < pairs && from.ok(); ++i) {
    std::string texts[2];
    for (std::string& text : texts) {
      const auto bytes = from.take<uint32_t>();
      if (bytes > kMaxTextBytes) return from.fail(), run;
      const std::vector<char> chars = from.take_all<char>(bytes);
      text.assign(chars.begin(), chars.end());
    }
    run.emplace_back(std::move(texts[0]), std::move(texts[1]));
  }
  return run;
}

void take_inputs(Bytes& from, CollectedSums& sums) {
  const auto inputs = from.take<uint32_t>();
  for (uint32_t i = 0; i < inputs && from.ok(); ++i) {
    const InputKey key = take_key(from);
    const auto cols = from.take<uint64_t>();
    const auto matrices = from.take<uint64_t>();
    if (cols == 0 || cols > kMaxCols || matrices == 0 || matrices > kMaxCols) return from.fail();
    InputSums s;
    s.cols = cols;
    s.squares = from.take_all<double>(matrices * cols);
    s.counts = from.take_all<double>(matrices);
    s.largest = from.take_all<float>(matrices * cols);
    if (!sums.inputs.emplace(key, std::move(s)).second) from.fail();
  }
}

void take_moments(Bytes& from, CollectedSums& sums) {
  const auto moments = from.take<uint32_t>();
  if (moments > kMaxMoments) from.fail();
  for (uint32_t i = 0; i < moments && from.ok(); ++i) {
    const InputKey key = take_key(from);
    const auto cols = from.take<uint64_t>();
    const auto rows = from.take<double>();
    if (cols == 0 || cols > kMaxCols || !from.holds<float>(triangle(cols))) return from.fail();
    MomentSums s(cols);
    for (size_t row = 0; row < cols; ++row) from.take_into(s.row(row));
    s.set_rows(rows);
    if (!sums.moments.emplace(key, std::move(s)).second) from.fail();
  }
}

void take_cache(Bytes& from, CollectedSums& sums) {
  const auto layers = from.take<uint32_t>();
  for (uint32_t i = 0; i < layers && from.ok(); ++i) {
    CachedLargest c;
    c.layer = from.take<int32_t>();
    const auto keys = from.take<uint64_t>();
    const auto values = from.take<uint64_t>();
    if (c.layer < 0) from.fail();
    c.keys = from.take_all<float>(keys);
    c.values = from.take_all<float>(values);
    const int32_t layer = c.layer;
    if (!sums.cache.emplace(layer, std::move(c)).second) from.fail();
  }
}

Error damaged(std::string_view what) { return make_error(ErrorCode::kCorrupt, "it {}", what); }

Status put_sums(HashedFile& file, const CollectedSums& sums) {
  WEIR_TRY(file.put(static_cast<uint64_t>(sums.chunks)));
  WEIR_TRY(file.put(static_cast<uint32_t>(sums.inputs.size())));
  for (const auto& [key, s] : sums.inputs) {
    WEIR_TRY(file.put(key.first));
    WEIR_TRY(file.put(static_cast<int32_t>(key.second)));
    WEIR_TRY(file.put(uint64_t{s.cols}));
    WEIR_TRY(file.put(uint64_t{s.counts.size()}));
    WEIR_TRY(file.put_all(s.squares));
    WEIR_TRY(file.put_all(s.counts));
    WEIR_TRY(file.put_all(s.largest));
  }
  WEIR_TRY(file.put(static_cast<uint32_t>(sums.moments.size())));
  for (const auto& [key, s] : sums.moments) {
    WEIR_TRY(file.put(key.first));
    WEIR_TRY(file.put(static_cast<int32_t>(key.second)));
    WEIR_TRY(file.put(uint64_t{s.cols()}));
    WEIR_TRY(file.put(s.rows()));
    for (size_t row = 0; row < s.cols(); ++row) WEIR_TRY(file.put_bytes(std::as_bytes(s.row(row))));
  }
  WEIR_TRY(file.put(static_cast<uint32_t>(sums.cache.size())));
  for (const auto& [layer, c] : sums.cache) {
    WEIR_TRY(file.put(layer));
    WEIR_TRY(file.put(uint64_t{c.keys.size()}));
    WEIR_TRY(file.put(uint64_t{c.values.size()}));
    WEIR_TRY(file.put_all(c.keys));
    WEIR_TRY(file.put_all(c.values));
  }
  return {};
}

}  // namespace

uint64_t unfinished_bytes(const CollectedSums& sums) {
  uint64_t bytes = kMagic.size() + kHashBytes + sizeof(uint64_t) + 4 * sizeof(uint32_t);
  for (const auto& [key, s] : sums.inputs) {
    bytes +=
        24 + s.squares.size() * (sizeof(double) + sizeof(float)) + s.counts.size() * sizeof(double);
  }
  for (const auto& [key, s] : sums.moments) bytes += 24 + triangle(s.cols()) * sizeof(float);
  for (const auto& [layer, c] : sums.cache)
    bytes += 20 + (c.keys.size() + c.values.size()) * sizeof(float);
  return bytes;
}

Status write_unfinished(const CollectedSums& sums, const RunFingerprint& run,
                        const std::string& path) {
  WEIR_ASSIGN(HashedFile file, HashedFile::create(path));
  WEIR_TRY(file.put_bytes(std::as_bytes(std::span(kMagic))));
  WEIR_TRY(file.put(static_cast<uint32_t>(run.size())));
  for (const auto& [name, value] : run) {
    WEIR_TRY(file.put_text(name));
    WEIR_TRY(file.put_text(value));
  }
  WEIR_TRY(put_sums(file, sums));
  return file.commit();
}

Result<CollectedSums> read_unfinished(const std::string& path, const RunFingerprint& run) {
  WEIR_ASSIGN(const os::MappedFile map, os::MappedFile::open(path));
  const std::span<const std::byte> all = map.bytes();
  const bool begins =
      all.size() >= kMagic.size() && std::memcmp(all.data(), kMagic.data(), kMagic.size()) == 0;
  if (!begins) return damaged("is no file that weir imatrix keeps, or of another version of weir");
  if (all.size() < kMagic.size() + kHashBytes || !has_its_hash(all))
    return damaged("is cut or damaged: its checksum differs");
  Bytes from(all.subspan(kMagic.size(), all.size() - kMagic.size() - kHashBytes));
  const RunFingerprint was = take_run(from);
  if (!from.ok()) return damaged("does not say of what run it is");
  if (const auto differs = difference(was, run)) {
    return make_error(ErrorCode::kInvalidValue, "it was begun otherwise: it differs in {}",
                      *differs);
  }
  CollectedSums sums;
  const auto chunks = from.take<uint64_t>();
  if (chunks > INT64_MAX) from.fail();
  sums.chunks = static_cast<int64_t>(chunks);
  take_inputs(from, sums);
  take_moments(from, sums);
  take_cache(from, sums);
  if (!from.ok() || !from.empty()) return damaged("has other sizes than it tells");
  return sums;
}

KeepingPace::KeepingPace(int64_t now_ns, uint64_t bytes)
    : since_ns_(now_ns), step_ns_(kSecondNs), wait_ns_(kSecondNs) {
  const double guess = static_cast<double>(bytes) / static_cast<double>(kGuessedBytesPerSecond);
  wait_ns_ = std::max(
      wait_ns_, static_cast<int64_t>(guess * static_cast<double>(kSecondNs)) * kWorkOfKeeping);
}

void KeepingPace::attempted(int64_t began_ns, int64_t ended_ns) {
  since_ns_ = ended_ns;
  step_ns_ = std::min(2 * step_ns_, kMostStepNs);
  wait_ns_ = std::max(step_ns_, (ended_ns - began_ns) * kWorkOfKeeping);
}

}  // namespace weir::ops
