// How much each tensor of a model matters: the KL divergence that a coarse type of it alone causes.
// Kept as JSON: {"kind": "weir.sensitivity", "type": "Q4_0", "model": <identity>, "text": <hash>,
// "importance": <hash, where a matrix was given>, "context": 512, "chunks": 2, "windows": {…},
// "tensors": {"blk.0.attn_q.weight": 0.0012, …}}.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/isa.h"
#include "kernels/thread_pool.h"
#include "ops/eval/kl_base.h"
#include "ops/eval/windows.h"
#include "ops/imatrix/importance.h"

namespace weir::ops {

struct Sensitivity {
  gguf::TensorType type = gguf::TensorType::kQ4_0;  // that a tensor had while it was measured
  std::string model;                                // engine::model_identity, in hexadecimal
  std::string text;                                 // hash of the text
  std::string importance = {};                      // hash of the matrix that weighed it, or empty
  int32_t context_tokens = 0, chunks = 0;
  std::optional<TextWindows> windows = std::nullopt;  // of it; older files have none
  std::map<std::string, double> kl;                   // mean KL divergence in nats, of each tensor
};

// progress(tensors done, all tensors, name of the next), on the calling thread.
using SensitivityProgress = std::function<void(size_t, size_t, std::string_view)>;

// How a run that is cut short goes on.
struct SensitivityKeeping {
  std::optional<Sensitivity> before =
      std::nullopt;  // of an earlier run; its tensors are not measured
  // After each tensor, with all that is measured. Its error ends the run.
  std::function<Status(const Sensitivity&)> keep = {};
};

// Loads the model once for each of `tensors` (of `file`, rows of multiples of 32), with the error
// of Q4_0 in that one and Q8_0 otherwise, and compares it with all in Q8_0 on header.chunks chunks
// of header.tokens. Memory: the model in Q8_0 and once more packed, its KV cache for one chunk, and
// 2 bytes × vocabulary a scored token. A run that goes on gives what one at once does. Errors:
// those of Model::load, of the conversion and of the comparison; kInvalidValue where what is there
// already was measured otherwise, naming the difference.
Result<Sensitivity> measure_sensitivity(const gguf::File& file,
                                        std::span<const gguf::Tensor* const> tensors,
                                        const KlBaseHeader& header,
                                        const ImportanceMatrix* importance, kernels::Isa isa,
                                        kernels::ThreadPool& pool,
                                        const SensitivityProgress& progress,
                                        const SensitivityKeeping& keeping = {});

// Whether an earlier run measured as `now` says. Error kInvalidValue naming the difference.
Status check_sensitivity(const Sensitivity& before, const Sensitivity& now);

// Errors: kIo; kCorrupt naming the field.
Status write_sensitivity(const Sensitivity& s, const std::string& path);
Result<Sensitivity> read_sensitivity(const std::string& path);
Result<Sensitivity> parse_sensitivity(std::string_view json);

}  // namespace weir::ops
