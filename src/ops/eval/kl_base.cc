#include "ops/eval/kl_base.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/ops.h"
#include "ops/eval/fingerprint.h"
#include "ops/eval/scored_rows.h"
#include "os/stale_temporaries.h"

namespace weir::ops {
namespace {

constexpr char kMagic[8] = {'W', 'E', 'I', 'R', 'K', 'L', 'B', '1'};
constexpr uint32_t kVersion = 1;
constexpr float kDepth = 16;  // nats below the likeliest token that are kept apart
constexpr size_t kHashBytes = 16;
constexpr size_t kFixedBytes = 8 + 6 * 4 + 3 * kHashBytes;

template <typename T>
void put(std::vector<std::byte>& out, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put(std::vector<std::byte>& out, const Hash128& hash) {
  const auto bytes = hash.bytes();
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <typename T>
T take(std::span<const std::byte>& from) {
  T value;
  std::memcpy(&value, from.data(), sizeof(T));
  from = from.subspan(sizeof(T));
  return value;
}

Hash128 take_hash(std::span<const std::byte>& from) {
  const Hash128 hash = Hash128::from_bytes(from.first<kHashBytes>());
  from = from.subspan(kHashBytes);
  return hash;
}

Error corrupt(const std::string& path, std::string_view what) {
  return make_error(ErrorCode::kCorrupt,
                    "{}: {}; write it anew with weir eval kl BASE -f TEXT --save-base", path, what);
}

Result<KlBaseHeader> read_fixed(const std::string& path, std::span<const std::byte>& from,
                                uint32_t& name_bytes) {
  if (from.size() < kFixedBytes || std::memcmp(from.data(), kMagic, sizeof(kMagic)) != 0) {
    return corrupt(path, "not a file of base log-probabilities (WEIRKLB1)");
  }
  from = from.subspan(sizeof(kMagic));
  if (const auto version = take<uint32_t>(from); version != kVersion) {
    return make_error(ErrorCode::kUnsupported, "{}: version {}; this weir reads {}", path, version,
                      kVersion);
  }
  const auto vocab = take<uint32_t>(from);
  const auto context = take<uint32_t>(from);
  const auto chunks = take<uint32_t>(from);
  KlBaseHeader h;
  h.bos = take<int32_t>(from);
  name_bytes = take<uint32_t>(from);
  if (vocab < 1 || vocab > KlBaseLimits::kVocab) {
    return corrupt(path, fmt::format("a vocabulary of {} tokens; 1 to {} are allowed", vocab,
                                     KlBaseLimits::kVocab));
  }
  if (context < kMinContextTokens || context > KlBaseLimits::kContext) {
    return corrupt(path, fmt::format("a context of {} tokens; {} to {} are allowed", context,
                                     kMinContextTokens, KlBaseLimits::kContext));
  }
  if (chunks < 1 || chunks > KlBaseLimits::kChunks) {
    return corrupt(path,
                   fmt::format("{} chunks; 1 to {} are allowed", chunks, KlBaseLimits::kChunks));
  }
  if (name_bytes > KlBaseLimits::kNameBytes) {
    return corrupt(path, fmt::format("a name of {} bytes; at most {} are allowed", name_bytes,
                                     KlBaseLimits::kNameBytes));
  }
  h.vocab = static_cast<int32_t>(vocab);
  h.context_tokens = static_cast<int32_t>(context);
  h.chunks = static_cast<int32_t>(chunks);
  if (h.bos < -1 || h.bos >= h.vocab) return corrupt(path, "bos is not in the vocabulary");
  h.vocabulary = take_hash(from);
  h.text = take_hash(from);
  h.model = take_hash(from);
  return h;
}

}  // namespace

size_t kl_row_bytes(int32_t vocab) {
  return 3 * sizeof(float) + static_cast<size_t>(vocab) * sizeof(uint16_t);
}

size_t kl_chunk_bytes(int32_t vocab, int32_t context_tokens) {
  return static_cast<size_t>(scored_rows(context_tokens)) * kl_row_bytes(vocab) + kHashBytes;
}

Status quantize_row(const kernels::Kernels& kernels, std::span<const float> logits, int32_t target,
                    KlBaseRow& row) {
  const float max = logits[kernels::argmax(kernels, logits.data(), logits.size())];
  float min = logits[0];
  for (const float l : logits) min = std::min(min, l);
  const double sum = kernels::exp_sum(kernels, logits.data(), logits.size(), max);
  if (!std::isfinite(sum) || !std::isfinite(min)) {
    return make_error(ErrorCode::kInternal, "a logit is not finite");
  }
  min = std::max(min, max - kDepth);
  const auto log_sum = static_cast<float>(std::log(sum));
  row.scale = (max - min) / 65535.0F;
  row.lowest = min - max - log_sum;
  row.target_log_p = logits[static_cast<size_t>(target)] - max - log_sum;
  const float inverse = row.scale > 0 ? 1 / row.scale : 0;
  row.values.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const float q = (std::max(logits[i], min) - min) * inverse + 0.5F;
    row.values[i] = static_cast<uint16_t>(std::min(q, 65535.0F));
  }
  return {};
}

Result<KlBaseWriter> KlBaseWriter::create(const std::string& path, const KlBaseHeader& header) {
  std::vector<std::byte> head;
  for (const char c : kMagic) put(head, c);
  put(head, kVersion);
  put(head, static_cast<uint32_t>(header.vocab));
  put(head, static_cast<uint32_t>(header.context_tokens));
  put(head, static_cast<uint32_t>(header.chunks));
  put(head, header.bos);
  const std::string name = header.name.substr(0, KlBaseLimits::kNameBytes);
  put(head, static_cast<uint32_t>(name.size()));
  put(head, header.vocabulary);
  put(head, header.text);
  put(head, header.model);
  for (const char c : name) put(head, c);
  for (const int32_t token : header.tokens) put(head, token);
  put(head, bytes_hash(head));
  const uint64_t bytes = head.size() + static_cast<uint64_t>(header.chunks) *
                                           kl_chunk_bytes(header.vocab, header.context_tokens);
  os::remove_stale_temporaries(path);  // large ones, of runs that were killed
  WEIR_ASSIGN(const uint64_t free, os::free_disk_bytes(path));
  if (bytes > free) {
    return make_error(ErrorCode::kIo,
                      "{} will take {} bytes and the disk has {}: take fewer --chunks, or "
                      "--base-model, which keeps nothing",
                      path, bytes, free);
  }
  WEIR_ASSIGN(os::AtomicFile file, os::AtomicFile::create(path));
  WEIR_TRY(file.write(head));
  return KlBaseWriter(std::move(file));
}

void KlBaseWriter::write(const KlBaseRow& row) {
  put(chunk_, row.scale);
  put(chunk_, row.lowest);
  put(chunk_, row.target_log_p);
  const auto bytes = std::as_bytes(std::span(row.values));
  chunk_.insert(chunk_.end(), bytes.begin(), bytes.end());
}

Status KlBaseWriter::end_chunk() {
  put(chunk_, bytes_hash(chunk_));
  WEIR_TRY(file_.write(chunk_));
  chunk_.clear();
  return {};
}

Result<KlBaseFile> KlBaseFile::open(const std::string& path) {
  KlBaseFile f;
  f.path_ = path;
  WEIR_ASSIGN(f.map_, os::MappedFile::open(path));
  const std::span<const std::byte> all = f.map_.bytes();
  std::span<const std::byte> from = all;
  uint32_t name_bytes = 0;
  WEIR_ASSIGN(f.header_, read_fixed(path, from, name_bytes));
  KlBaseHeader& h = f.header_;
  // At most 2^44 + 2^24 × 2^43 bytes, below 2^68: counted by division, so that nothing overflows.
  const uint64_t tokens = static_cast<uint64_t>(h.chunks) * static_cast<uint64_t>(h.context_tokens);
  const uint64_t head_bytes = name_bytes + tokens * sizeof(int32_t) + kHashBytes;
  const uint64_t chunk_bytes = kl_chunk_bytes(h.vocab, h.context_tokens);
  const uint64_t rest = from.size() < head_bytes ? 0 : from.size() - head_bytes;
  if (rest / chunk_bytes != static_cast<uint64_t>(h.chunks) || rest % chunk_bytes != 0) {
    return corrupt(path, fmt::format("has {} bytes, which is not what its header's {} chunks of {} "
                                     "tokens at {} words take",
                                     all.size(), h.chunks, h.context_tokens, h.vocab));
  }
  h.name.assign(reinterpret_cast<const char*>(from.data()), name_bytes);
  from = from.subspan(name_bytes);
  h.tokens.resize(tokens);
  std::memcpy(h.tokens.data(), from.data(), tokens * sizeof(int32_t));
  from = from.subspan(tokens * sizeof(int32_t));
  f.rows_at_ = all.size() - from.size() + kHashBytes;
  if (bytes_hash(all.first(f.rows_at_ - kHashBytes)) != take_hash(from)) {
    return corrupt(path, "the header's checksum does not fit");
  }
  for (const int32_t token : h.tokens) {
    if (token < 0 || token >= h.vocab) {
      return corrupt(path, fmt::format("token {} is not in the vocabulary", token));
    }
  }
  return f;
}

Status KlBaseFile::begin_chunk(int64_t chunk) {
  const size_t bytes = kl_chunk_bytes(header_.vocab, header_.context_tokens);
  map_.dont_need(chunk_);
  const auto whole = map_.bytes().subspan(rows_at_ + static_cast<size_t>(chunk) * bytes, bytes);
  chunk_ = whole.first(bytes - kHashBytes);
  std::span<const std::byte> sum = whole.subspan(bytes - kHashBytes);
  if (bytes_hash(chunk_) != take_hash(sum)) {
    return corrupt(path_, fmt::format("the checksum of chunk {} does not fit", chunk));
  }
  return {};
}

Status KlBaseFile::read(int32_t row, KlBaseRow& out) const {
  const size_t bytes = kl_row_bytes(header_.vocab);
  std::span<const std::byte> from = chunk_.subspan(static_cast<size_t>(row) * bytes, bytes);
  out.scale = take<float>(from);
  out.lowest = take<float>(from);
  out.target_log_p = take<float>(from);
  // A log-probability is at most 0, up to rounding; the lowest is at most 16 + log(vocab) below.
  if (!(out.scale >= 0 && out.scale <= kDepth / 65535 * 1.01F) ||
      !(out.lowest >= -64 && out.lowest + out.scale * 65535 <= 0.01F) ||
      !(std::isfinite(out.target_log_p) && out.target_log_p <= 0.01F)) {
    return corrupt(path_, fmt::format("row {} holds no log-probabilities (scale {}, lowest {})",
                                      row, out.scale, out.lowest));
  }
  out.values.resize(static_cast<size_t>(header_.vocab));
  std::memcpy(out.values.data(), from.data(), from.size());
  return {};
}

}  // namespace weir::ops
