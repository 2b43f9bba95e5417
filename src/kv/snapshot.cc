#include "kv/snapshot.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::kv {
namespace {

constexpr std::string_view kMagic = "WEIRKV1\n";
constexpr uint32_t kVersion = 2;  // 2: the model's identity looks at more of its tensors
constexpr uint32_t kPageSection = 1;
constexpr uint32_t kEndSection = 2;
constexpr HashKey kSumKey{0x7765697220736e61ULL, 0x7073686f742e3031ULL};  // "weir snapshot.01"
constexpr size_t kSumBytes = 16;
constexpr uint32_t kOwnerOnly = 0600;  // it holds what prompts said

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

// The sum of a section: of the sums of its parts, in order, behind the sum before it.
class Sum {
 public:
  explicit Sum(const Hash128& before) { append(before.bytes()); }
  void add(std::span<const std::byte> part) { append(keyed_hash(kSumKey, part).bytes()); }
  Hash128 value() const { return keyed_hash(kSumKey, sums_); }

 private:
  void append(const std::array<std::byte, 16>& bytes) {
    sums_.insert(sums_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> sums_;
};

std::array<char, kSnapshotTraitsBytes> padded(const std::string& traits) {
  std::array<char, kSnapshotTraitsBytes> out{};
  std::copy_n(traits.begin(), std::min(traits.size(), out.size()), out.begin());
  return out;
}

// Walks a file; every read is checked against what is there.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> file) : file_(file) {}

  Result<std::span<const std::byte>> take(uint64_t count) {
    if (count > file_.size() - at_) {
      return make_error(ErrorCode::kCorrupt, "it ends at byte {}, within {} bytes that begin at {}",
                        file_.size(), count, at_);
    }
    const auto part = file_.subspan(at_, count);
    at_ += count;
    return part;
  }
  template <typename T>
  Result<T> number() {
    WEIR_ASSIGN(const auto part, take(sizeof(T)));
    T value;
    std::memcpy(&value, part.data(), sizeof(T));
    return value;
  }
  size_t at() const { return at_; }
  bool at_end() const { return at_ == file_.size(); }

 private:
  std::span<const std::byte> file_;
  size_t at_ = 0;
};

Status check_sum(Reader& reader, const Sum& sum, size_t section, Hash128& chain) {
  WEIR_ASSIGN(const auto stored, reader.take(kSumBytes));
  chain = sum.value();
  const auto wanted = chain.bytes();
  if (std::equal(stored.begin(), stored.end(), wanted.begin())) return {};
  return make_error(ErrorCode::kCorrupt, "the section at byte {} is damaged: its sum is wrong",
                    section);
}

Status check_identity(Reader& r, const SnapshotIdentity& identity, Sum& sum) {
  const auto other = [](std::string_view what) {
    return make_error(ErrorCode::kUnsupported, "it was made {}", what);
  };
  const auto take = [&](size_t count) {
    auto part = r.take(count);
    if (part.ok()) sum.add(*part);
    return part;
  };
  WEIR_ASSIGN(const auto version, take(4));
  WEIR_ASSIGN(const auto page_tokens, take(4));
  WEIR_ASSIGN(const auto page_bytes, take(8));
  WEIR_ASSIGN(const auto model, take(16));
  WEIR_ASSIGN(const auto traits, take(kSnapshotTraitsBytes));
  const auto equal = [](std::span<const std::byte> a, std::span<const std::byte> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  };
  if (!equal(version, bytes_of(kVersion))) return other("in another version of the format");
  if (!equal(model, identity.model.bytes())) return other("with another model");
  if (!equal(traits, bytes_of(padded(identity.traits))))
    return other("by another build of weir, with other KV types or for another instruction set");
  if (!equal(page_tokens, bytes_of(identity.page_tokens)) ||
      !equal(page_bytes, bytes_of(identity.page_bytes)))
    return other("with pages of another size");
  return {};
}

Status read_page(Reader& r, const SnapshotIdentity& identity, uint32_t pages, size_t section,
                 Hash128& chain, const SnapshotSink& sink) {
  Sum sum(chain);
  WEIR_ASSIGN(const auto before, r.number<int32_t>());
  WEIR_ASSIGN(const auto root, r.take(16));
  WEIR_ASSIGN(const auto tokens, r.take(static_cast<uint64_t>(identity.page_tokens) * 4));
  WEIR_ASSIGN(const auto bytes, r.take(identity.page_bytes));
  sum.add(bytes_of(kPageSection));
  sum.add(bytes_of(before));
  sum.add(root);
  sum.add(tokens);
  sum.add(bytes);
  WEIR_TRY(check_sum(r, sum, section, chain));
  if (before < -1 || before >= static_cast<int32_t>(pages)) {
    return make_error(ErrorCode::kCorrupt, "the page at byte {} follows page {} of {}", section,
                      before, pages);
  }
  std::vector<int32_t> ids(static_cast<size_t>(identity.page_tokens));  // aligned
  std::memcpy(ids.data(), tokens.data(), tokens.size());
  return sink.page({Hash128::from_bytes(root.first<16>()), before, ids, bytes});
}

}  // namespace

Status SnapshotWriter::write_section(std::span<const std::span<const std::byte>> parts) {
  Sum sum(sum_);
  for (const auto part : parts) {
    sum.add(part);
    WEIR_TRY(file_.write(part));
  }
  sum_ = sum.value();
  return file_.write(sum_.bytes());
}

Result<SnapshotWriter> SnapshotWriter::create(const std::string& path,
                                              const SnapshotIdentity& identity,
                                              const HashKey& key) {
  if (identity.traits.size() > kSnapshotTraitsBytes)  // cut, two could look alike
    return make_error(ErrorCode::kInternal, "traits of {} bytes; a snapshot has room for {}",
                      identity.traits.size(), kSnapshotTraitsBytes);
  WEIR_ASSIGN(os::AtomicFile file, os::AtomicFile::create(path, kOwnerOnly));
  SnapshotWriter writer(std::move(file));
  WEIR_TRY(writer.file_.write(bytes_of(kMagic)));
  const auto model = identity.model.bytes();
  const auto traits = padded(identity.traits);
  const std::span<const std::byte> parts[] = {bytes_of(kVersion),
                                              bytes_of(identity.page_tokens),
                                              bytes_of(identity.page_bytes),
                                              model,
                                              bytes_of(traits),
                                              bytes_of(key)};
  WEIR_TRY(writer.write_section(parts));
  return writer;
}

Status SnapshotWriter::add(const SnapshotPage& page) {
  const auto root = page.root.bytes();
  const std::span<const std::byte> parts[] = {bytes_of(kPageSection), bytes_of(page.before), root,
                                              std::as_bytes(page.tokens), page.bytes};
  WEIR_TRY(write_section(parts));
  ++pages_;
  return {};
}

Status SnapshotWriter::finish() {
  const std::span<const std::byte> parts[] = {bytes_of(kEndSection), bytes_of(pages_)};
  WEIR_TRY(write_section(parts));
  return file_.commit();
}

Status read_snapshot(std::span<const std::byte> file, const SnapshotIdentity& identity,
                     const SnapshotSink& sink) {
  Reader r(file);
  WEIR_ASSIGN(const auto magic, r.take(kMagic.size()));
  if (!std::equal(magic.begin(), magic.end(), bytes_of(kMagic).begin()))
    return make_error(ErrorCode::kCorrupt, "it is no snapshot of a KV cache");
  Hash128 chain;
  Sum header(chain);
  WEIR_TRY(check_identity(r, identity, header));
  WEIR_ASSIGN(const auto key, r.take(sizeof(HashKey)));
  header.add(key);
  WEIR_TRY(check_sum(r, header, 0, chain));
  HashKey hash_key;
  std::memcpy(&hash_key, key.data(), sizeof hash_key);
  sink.key(hash_key);
  for (uint32_t pages = 0;; ++pages) {
    const size_t section = r.at();
    WEIR_ASSIGN(const uint32_t kind, r.number<uint32_t>());
    if (kind == kPageSection) {
      WEIR_TRY(read_page(r, identity, pages, section, chain, sink));
      continue;
    }
    if (kind != kEndSection)
      return make_error(ErrorCode::kCorrupt, "the section at byte {} is of unknown kind {}",
                        section, kind);
    WEIR_ASSIGN(const uint32_t count, r.number<uint32_t>());
    Sum end(chain);
    end.add(bytes_of(kEndSection));
    end.add(bytes_of(count));
    WEIR_TRY(check_sum(r, end, section, chain));
    if (count != pages || !r.at_end())
      return make_error(ErrorCode::kCorrupt, "{} pages are announced and {} there, or more follows",
                        count, pages);
    return {};
  }
}

}  // namespace weir::kv
