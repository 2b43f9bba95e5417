// The log-probabilities of a base model on a text, kept so that the base runs once and candidates
// are held against it. A row is a scored position (scored_rows.h): f32 scale, f32 lowest, f32
// log p of the text's next token, then [vocab] u16 values q, for log p = lowest + scale × q.
// Quantized as llama-perplexity's
// --kl-divergence-base files (examples of llama.cpp, tools/perplexity), so that figures compare:
// what lies more than 16 nats below the likeliest token counts as 16 below.
//
// The file, little endian: "WEIRKLB1", u32 version (1), u32 vocabulary, u32 context tokens, u32
// chunks, i32 bos (-1: none), u32 bytes of the name, Hash128 of vocabulary, text and model
// identity, the name; i32 tokens [chunks × context]; Hash128 of all that; then for each chunk its
// rows and a Hash128 of them. 2 bytes × vocabulary a scored token: 25 MB a chunk of 512 at 49,152
// words.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "kernels/kernels.h"
#include "os/file.h"
#include "os/mapped_file.h"

namespace weir::ops {

struct KlBaseLimits {
  static constexpr uint32_t kVocab = 1 << 21;
  static constexpr uint32_t kContext = 1 << 20;
  static constexpr uint32_t kChunks = 1 << 24;
  static constexpr uint32_t kNameBytes = 512;
};

struct KlBaseHeader {
  int32_t vocab = 0;
  int32_t context_tokens = 0;
  int32_t chunks = 0;
  int32_t bos = -1;
  Hash128 vocabulary;           // fingerprint.h
  Hash128 text;                 // of the text's bytes
  Hash128 model;                // engine::model_identity
  std::string name;             // of the base, for people
  std::vector<int32_t> tokens;  // [chunks × context_tokens]
};

// One scored position.
struct KlBaseRow {
  float scale = 0;
  float lowest = 0;
  float target_log_p = 0;        // of the text's next token, not quantized
  std::vector<uint16_t> values;  // [vocab]

  float log_p(size_t token) const { return lowest + scale * static_cast<float>(values[token]); }
};

// log softmax of logits [vocab], quantized; target: the text's next token. Error: kInternal for
// logits that are not finite.
Status quantize_row(const kernels::Kernels& kernels, std::span<const float> logits, int32_t target,
                    KlBaseRow& row);

// Writes row by row; the file appears whole or not at all. One thread.
class KlBaseWriter {
 public:
  // Errors: kIo, also when the disk has not the bytes that the file will take.
  static Result<KlBaseWriter> create(const std::string& path, const KlBaseHeader& header);
  void write(const KlBaseRow& row);
  // After the last row of a chunk. Errors: kIo.
  Status end_chunk();
  Status commit() { return file_.commit(); }

 private:
  explicit KlBaseWriter(os::AtomicFile file) : file_(std::move(file)) {}
  os::AtomicFile file_;
  std::vector<std::byte> chunk_;
};

// Reads with one chunk in memory, if at all. One thread.
class KlBaseFile {
 public:
  // Errors: kNotFound, kIo; kCorrupt with what is wrong, for a file that is cut, too long or
  // damaged; kUnsupported for another version.
  static Result<KlBaseFile> open(const std::string& path);
  const KlBaseHeader& header() const { return header_; }
  // Checks the chunk's sum; the rows after it come from this chunk.
  Status begin_chunk(int64_t chunk);
  // row: of the chunk, from 0.
  Status read(int32_t row, KlBaseRow& out) const;

 private:
  KlBaseFile() = default;
  std::string path_;
  os::MappedFile map_;
  KlBaseHeader header_;
  size_t rows_at_ = 0;  // where the first chunk begins
  std::span<const std::byte> chunk_;
};

// Bytes of a row, and of a chunk with its sum.
size_t kl_row_bytes(int32_t vocab);
size_t kl_chunk_bytes(int32_t vocab, int32_t context_tokens);

}  // namespace weir::ops
