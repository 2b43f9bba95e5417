// Runs the blocks of pages that are marked so: with bash -e, in a scratch folder per page, beside
// servers that are started once and ended at the end. Runs what the pages say: for packs that one
// trusts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ops/skill/block.h"
#include "ops/skill/page.h"

namespace weir::ops {

struct BlockRunOptions {
  std::string weir;  // absolute path of the program
  // PATH with weir on it, and what else is set for the blocks; an empty value takes one away.
  std::vector<std::pair<std::string, std::string>> environment;
  std::string model;       // absolute path of a GGUF file; "": blocks that need one are left out
  std::string model_name;  // as a weir serve of it calls it; of the server itself where one runs
  std::string corpus;      // absolute paths of files
  std::string trace;
  int timeout_ms = 60'000;         // of a block
  int server_timeout_ms = 60'000;  // until it is ready
  int pages_at_once = 2;
  std::function<bool()> stopped;  // asked from several threads; may be empty
  // Called after each block from the thread that ran it, one at a time; may be empty.
  std::function<void(std::string_view line)> progress;
};

struct BlockResult {
  enum class End : uint8_t { kOk, kFailed, kSkipped } end = End::kSkipped;
  std::string why;     // of kFailed and kSkipped
  std::string output;  // of both streams, the end of it
  double seconds = 0;
};

// For each page for each block, in their order; of blocks that are not run kSkipped with no reason.
// Behind a block of a page that failed or was skipped the rest of the page is skipped: it builds on
// it. Errors: kIo when there is no bash or no scratch folder, kCancelled when it was stopped.
Result<std::vector<std::vector<BlockResult>>> run_blocks(const std::vector<Page>& pages,
                                                         const BlockRunOptions& options);

// Text and trace for blocks where nobody gave any: some 100 kB out of the pages' own sentences, and
// requests in Azure's columns over a quarter of a minute.
std::string sample_corpus(const std::vector<Page>& pages);
std::string sample_trace();

}  // namespace weir::ops
