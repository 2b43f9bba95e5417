// weir quantize with --format other than gguf: a folder for GPU engines.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/result.h"
#include "checkpoint/quantize_scheme.h"

namespace weir::cli {

// What the formats for GPU engines have beside "search".
inline constexpr std::array<const char*, 5> kFolderMethods = {"gptq", "awq", "smoothquant",
                                                              "awq+gptq", "smoothquant+gptq"};

struct FolderOptions {
  std::string in;  // as resolve_model takes it
  std::string out;
  checkpoint::SchemeRequest scheme;
  std::string method = "search";  // or one of kFolderMethods
  float alpha = 0.5F;             // of smoothquant
  std::string imatrix, moments;   // files, or empty
  int threads = 0;                // 0: the cores this process may use
  bool dry_run = false;
  bool json = false;
};

// Returns the exit code. Errors: kUsage for a method and what it does not go with; those of
// resolve_model, find_scheme, FolderPlan, read_imatrix and Moments::open.
Result<int> quantize_folder(const FolderOptions& options);

}  // namespace weir::cli
