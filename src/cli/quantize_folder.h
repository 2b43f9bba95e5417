// weir quantize with --format other than gguf: a folder for GPU engines.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "checkpoint/quantize_scheme.h"

namespace weir::cli {

struct FolderOptions {
  std::string in;  // as resolve_model takes it
  std::string out;
  checkpoint::SchemeRequest scheme;
  int threads = 0;  // 0: the cores this process may use
  bool dry_run = false;
  bool json = false;
};

// Returns the exit code. Errors: those of resolve_model, find_scheme and FolderPlan.
Result<int> quantize_folder(const FolderOptions& options);

}  // namespace weir::cli
