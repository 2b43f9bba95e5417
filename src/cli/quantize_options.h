// weir quantize: what the command line says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/quantize_mixed.h"

namespace weir::cli {

struct QuantizeOptions {
  std::string in;
  std::string out;
  std::string type;
  std::string imatrix;
  std::string method = "search";
  std::string moments;
  std::optional<float> alpha;                 // of smoothquant
  std::vector<std::string> rotations;         // R1, R2
  std::optional<std::string> transform_type;  // random-hadamard where it is not given
  std::optional<uint64_t> seed;
  std::string output_type;
  std::string embedding_type;
  std::vector<std::string> tensors;
  MixedFlags mixed;
  std::string split_max_size;  // "2G"
  uint64_t split_max_tensors = 0;
  bool resume = false;
  int threads = 0;
  bool pure = false;
  bool keep_output = false;
  bool dry_run = false;
  bool json = false;
  // Of other formats than GGUF.
  std::string format = "gguf";
  std::string scheme;
  int group_size = 0;
  bool symmetric = false;
  bool asymmetric = false;
  std::string kv_cache;
};

inline std::string transform_type(const QuantizeOptions& o) {
  return o.transform_type.value_or("random-hadamard");
}

// Writes a GGUF file; the options of other formats are not looked at. Returns the exit code.
// Errors: kUsage for flags that do not go together; those of resolve_model, open_model, the readers
// of calibration, plan_quantize and write_quantized.
Result<int> quantize_gguf(const QuantizeOptions& options);

}  // namespace weir::cli
