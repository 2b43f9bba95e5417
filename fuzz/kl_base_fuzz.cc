// A base's log-probabilities from outside. Random bytes never have the right sums, so each input is
// read twice: as it is, and with the sums put right where its own header says they are.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "memory_file.h"
#include "ops/eval/fingerprint.h"
#include "ops/eval/kl_base.h"
#include "ops/eval/scored_rows.h"

namespace {

using namespace weir;

constexpr size_t kSumBytes = 16;
constexpr size_t kFixedBytes = 8 + 6 * 4 + 3 * kSumBytes;

uint32_t number_at(const std::vector<uint8_t>& bytes, size_t at) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

void put_sum(std::vector<uint8_t>& bytes, size_t from, size_t to) {
  const Hash128 sum = ops::bytes_hash(std::as_bytes(std::span(bytes).subspan(from, to - from)));
  const auto written = sum.bytes();
  std::memcpy(bytes.data() + to, written.data(), kSumBytes);
}

// Header: magic, version, vocabulary, context, chunks, bos, bytes of the name (kl_base.h).
void put_sums_right(std::vector<uint8_t>& bytes) {
  if (bytes.size() < kFixedBytes) return;
  const uint64_t vocab = number_at(bytes, 12);
  const uint64_t context = number_at(bytes, 16);
  const uint64_t chunks = number_at(bytes, 20);
  if (vocab > 1000 || context < 4 || context > 1000 || chunks > 1000) return;
  const size_t head = kFixedBytes + number_at(bytes, 28) + 4 * context * chunks;
  if (head + kSumBytes > bytes.size()) return;
  put_sum(bytes, 0, head);
  const size_t chunk =
      ops::kl_chunk_bytes(static_cast<int32_t>(vocab), static_cast<int32_t>(context));
  for (size_t at = head + kSumBytes; bytes.size() - at >= chunk; at += chunk)
    put_sum(bytes, at, at + chunk - kSumBytes);
}

void read_all(std::span<const uint8_t> bytes) {
  static fuzz::MemoryFile memory;
  memory.hold(bytes);
  auto file = ops::KlBaseFile::open(memory.path());
  if (!file.ok()) {
    if (file.error().message.empty()) std::abort();
    return;
  }
  const ops::KlBaseHeader& h = file->header();
  if (h.tokens.size() != static_cast<size_t>(h.chunks) * static_cast<size_t>(h.context_tokens))
    std::abort();
  ops::KlBaseRow row;
  for (int32_t chunk = 0; chunk < h.chunks; ++chunk) {
    if (!file->begin_chunk(chunk).ok()) continue;
    for (int32_t r = 0; r < ops::scored_rows(h.context_tokens); ++r) {
      if (!file->read(r, row).ok()) continue;
      if (row.values.size() != static_cast<size_t>(h.vocab)) std::abort();
      for (size_t token = 0; token < row.values.size(); ++token) {
        if (!(row.log_p(token) <= 0.1F && row.log_p(token) >= -128)) std::abort();
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  read_all(bytes);
  put_sums_right(bytes);
  read_all(bytes);
  return 0;
}
