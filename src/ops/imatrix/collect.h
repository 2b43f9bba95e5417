// Collecting the importance of a model's columns from a text.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "engine/loaded_model.h"
#include "ops/imatrix/importance.h"
#include "ops/imatrix/keeper.h"
#include "ops/imatrix/moments.h"

namespace weir::ops {

struct CollectOptions {
  int32_t context_tokens = 512;  // of a chunk, each evaluated from nothing
  int64_t max_chunks = 0;        // 0: all whole ones
  int threads = 1;               // for the second moments
  // Borrowed: keeps what is summed as it goes, and goes on with what an unfinished run of the same
  // kept, to the same bits. What is kept stays, for the caller to remove once the results are
  // written.
  const CollectKeeping* keeping = nullptr;
};

struct Collected {
  ImportanceMatrix matrix;
  std::vector<InputMoments> moments;  // empty unless they were asked for
  int64_t taken_over = 0;             // chunks of an unfinished run
};

// progress(chunks done, all chunks), once per chunk, on the calling thread.
using CollectProgress = std::function<void(int64_t, int64_t)>;

// Sums over the whole chunks of `tokens`, as llama-imatrix does (it leaves out the output matrix as
// well); the first token of a chunk becomes BOS where the vocabulary says so. `datasets` of the
// result is left to the caller. with_moments: the second moments of all inputs as well, but those
// of experts, whose matrices have an input each. Uses the model's KV memory. Errors: kInvalidValue
// when the text has no whole chunk or the context is out of range; kUnsupported for an encoder;
// kInternal when an activation is not finite, naming the matrix, and then nothing is kept; those of
// Keeper::take_up; kCorrupt for what it has of another model; what the model returns.
Result<Collected> collect_importance(engine::LoadedModel& model, std::span<const int32_t> tokens,
                                     const CollectOptions& options, bool with_moments,
                                     const CollectProgress& progress);

// Bytes that write_moments will write for a model's inputs, some kilobytes of names left out.
uint64_t moments_file_bytes(const gguf::File& model);

// Adds the sums of `more`. Error: kCorrupt when an entry has another shape: the file is of another
// model.
Status add_importance(ImportanceMatrix& sum, const ImportanceMatrix& more);

}  // namespace weir::ops
