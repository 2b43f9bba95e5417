// What an unfinished quantization says of itself, so that another run can go on with it: JSON
// lines. The first, {"kind": "weir.quantize.unfinished", "run": [[name, value], ...]}, says what
// the bytes depend on; then one for each tensor that is written, in order: {"tensor": 0, "hash":
// "32 hex"}.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace weir::ops {

// (what it is, for people; its value), in order.
using RunFingerprint = std::vector<std::pair<std::string, std::string>>;

struct Journal {
  RunFingerprint run;
  std::vector<Hash128> tensors;  // hashes of their bytes as written, padding included
  // Where the bytes of each line end: [0] of the first, [i + 1] of tensor i.
  std::vector<size_t> ends;
};

std::string journal_head(const RunFingerprint& run);
std::string journal_line(size_t tensor, const Hash128& hash);

// Takes the text for hostile. Nothing when no whole first line is there: the run had not begun.
// Lines count up to the first that is torn, damaged or out of order; a power cut leaves such.
// Error: kCorrupt for a first line that is whole and is none of a journal's.
Result<std::optional<Journal>> parse_journal(std::string_view text);

// "the importance matrix (was a, is b)" for the first difference, or nothing.
std::optional<std::string> difference(const RunFingerprint& was, const RunFingerprint& is);

}  // namespace weir::ops
