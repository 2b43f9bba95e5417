// Requests out of files: traces of arrivals and lengths, or prompts of one's own. What the load
// generator replays and what weir intake --trace describes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct DatasetRow {
  double at_s = 0;  // since the first row; 0 where the file has no times
  int32_t prompt_tokens = 0;
  int32_t output_tokens = 0;  // 0: not told
  uint32_t first_block = 0;   // of Dataset::blocks
  uint32_t block_count = 0;
  // kPrompts: one of the two; messages are the JSON array as text.
  std::string prompt;
  std::string messages;
};

struct Dataset {
  enum class Kind { kTrace, kPrompts };
  Kind kind = Kind::kTrace;
  std::string format;            // "azure", "burstgpt", "mooncake", "prompts"
  std::vector<DatasetRow> rows;  // traces: in order of at_s
  std::vector<uint64_t> blocks;  // hashes of prompt blocks, of all rows
  int32_t block_tokens = 512;    // of a hash; Mooncake's
  size_t skipped = 0;            // rows without output, which are failed requests of the trace
};

// Rows a second over the time that a trace spans; 0 when all have one time.
double mean_rate(const Dataset& trace);

struct DatasetLimits {
  uint64_t file_bytes = uint64_t{1} << 30;
  size_t rows = 10'000'000;
  size_t blocks = 100'000'000;
};

// Reads, by the looks of the first line:
//   CSV with a header   TIMESTAMP,ContextTokens,GeneratedTokens   Azure 2023 and 2024
//                       Timestamp,…,Request tokens,Response tokens,…   BurstGPT
//   JSON lines          {"timestamp":ms,"input_length":…,"output_length":…,"hash_ids":[…]} Mooncake
//                       {"prompt":"…"} or {"messages":[…]}, and optionally "output_tokens" prompts
// Errors name the line: kCorrupt, kUnsupported for another header, kLimit.
Result<Dataset> parse_dataset(std::string_view text, const DatasetLimits& limits = {});

}  // namespace weir::ops
