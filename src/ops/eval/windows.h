// Which windows of tokens a text has, in a bounded sketch: whether a model was calibrated on the
// text that it is measured with.
//
// A window is kWindowTokens tokens in a row; its hash is that of its ids. A sketch keeps the
// hashes below a threshold, the smallest kMaxHashes of the text. Of another text the hashes below
// the same threshold are a sample of its windows that depends on nothing but their tokens, so the
// share of that sample which the sketch holds estimates, without bias, the share of all its windows
// that the first text has (FracMinHash: Irber et al., 2022; bottom-k sketches: Broder, 1997).
//
// In metadata of GGUF files (importance matrices, second moments, quantized models) under keys that
// llama.cpp does not read: weir.calibration.windows (int64 array, ascending),
// weir.calibration.threshold (uint64), weir.calibration.window_tokens (uint32),
// weir.calibration.vocabulary (hexadecimal). At most 64 KiB.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "gguf/file.h"
#include "gguf/writer.h"
#include "text/json.h"

namespace weir::ops {

// A sentence or two: shorter runs of tokens stand in texts that have nothing to do with each other.
inline constexpr size_t kWindowTokens = 32;
inline constexpr size_t kMaxHashes = 8'000;  // 62.5 KiB
// The largest share of a test text's windows that may be in the calibration text. What is not
// copied has none, headings and boilerplate aside; a hundredth of copied text moves a mean by less
// than what ± says of it.
inline constexpr double kMaxOverlap = 0.01;

// Of results (EvalRun::params): the share, where the model says what it was calibrated on.
inline constexpr std::string_view kOverlapParam = "calibration_overlap";

struct TextWindows {
  std::string vocabulary;        // hex of vocabulary_hash: ids of another mean nothing
  uint64_t threshold = 0;        // hashes are below it; kAll where none was left out
  std::vector<uint64_t> hashes;  // ascending, each once

  static constexpr uint64_t kAll = uint64_t{1} << 63;  // hashes have 63 bits
};

// Of all windows of the tokens, in their order. Any thread.
TextWindows windows_of(std::span<const int32_t> tokens, std::string vocabulary);
// Of two texts together. Error: kInvalidValue for two vocabularies.
Result<TextWindows> merge(const TextWindows& a, const TextWindows& b);

struct Overlap {
  int64_t sampled = 0;  // windows of the text whose hashes are below the threshold
  int64_t shared = 0;   // of them in the sketch
  double share() const {
    return sampled == 0 ? 0 : static_cast<double>(shared) / static_cast<double>(sampled);
  }
};
Overlap overlap_of(const TextWindows& calibration, std::span<const int32_t> tokens);

// The share of the windows of `tokens` in the text that `model` was calibrated on; nothing for a
// model that says nothing of it, or says it of another vocabulary. Error: kInvalidValue above
// kMaxOverlap unless it is allowed; those of read_windows.
Result<std::optional<double>> check_overlap(const gguf::File& model, const std::string& vocabulary,
                                            std::span<const int32_t> tokens, bool allowed);
// That error. what: "MODEL was calibrated on".
Error overlap_error(std::string_view what, double share);

// Of a file that was made by calibration; nothing where the keys are missing. Takes them for
// hostile. Error: kCorrupt (kUnsupported for another width of windows) naming file, key and bound.
Result<std::optional<TextWindows>> read_windows(const gguf::File& file);
void write_windows(const TextWindows& windows, gguf::Writer& writer);
// Names the sketch, in provenance.
Hash128 windows_hash(const TextWindows& windows);
// Whether the key says something of calibration text.
bool is_windows_key(std::string_view key);

// The same in JSON: {"window_tokens": 32, "vocabulary": "…", "threshold": N, "hashes": […]}; no
// threshold where nothing was left out.
text::Json windows_json(const TextWindows& windows);
// Error: kCorrupt naming the member.
Result<TextWindows> parse_windows(const text::Json& json);

}  // namespace weir::ops
