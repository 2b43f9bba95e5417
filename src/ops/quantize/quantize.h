// Quantizing a model file: a plan of types and sizes, then tensor by tensor through memory for a
// few rows at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "gguf/file.h"
#include "gguf/split.h"
#include "kernels/thread_pool.h"
#include "ops/eval/windows.h"
#include "ops/quantize/calibration.h"
#include "ops/quantize/mix.h"
#include "ops/quantize/transform.h"

namespace weir::ops {

struct PlannedTensor {
  const gguf::Tensor* source = nullptr;
  gguf::TensorType type = gguf::TensorType::kF32;
  uint64_t bytes = 0;
  bool copied = false;                     // as it stands in the source
  bool already = false;                    // its type there is the one that is wanted
  bool quantizable = false;                // and no override has chosen its type
  bool important = false;                  // what its columns weigh was measured
  bool compensated = false;                // its codes are chosen by GPTQ
  std::optional<gguf::TensorType> wanted;  // as TensorChoice has it
};

struct QuantizePlan {
  Mix mix;
  std::vector<PlannedTensor> tensors;    // in the file's order
  uint64_t source_bytes = 0, bytes = 0;  // of tensor data
  uint64_t weights = 0;
  TensorTransforms transforms;  // of those tensors that are not quantized as they stand
  // Borrowed: the file that the tensors' data lie in, where it is not the one that was planned.
  const gguf::File* lender = nullptr;
  // Source tensors that were quantized before and are to be quantized again: their first loss
  // stays, whatever the new type.
  size_t requantized = 0;

  double bits_per_weight() const {
    return weights == 0 ? 0 : static_cast<double>(bytes) * 8 / static_cast<double>(weights);
  }
};

// `file` and what `calibration` names must outlive the plan. Errors: those of model_facts and
// choose_types; kUnsupported for a file that is no model, naming its general.type, or that has no
// matrices, and for a type that cannot be read or written, naming the tensor; kUsage when a type
// asks for an importance matrix and there is none (of that tensor).
Result<QuantizePlan> plan_quantize(const gguf::File& file, const Mix& mix,
                                   const MixOptions& options, const Calibration& calibration);

// The calibration less an importance matrix that has no part in the plan: nothing is encoded with
// it, and no factor of columns comes of it.
Calibration used_calibration(const QuantizePlan& plan, const Calibration& calibration);

// Makes transforms part of a plan that has none: their tensors are encoded anew, vectors with new
// values in F32. Errors: kUnsupported for a tensor that would stay in a type that cannot be
// written, naming it; those of plan_quantize about importance.
Status transform_plan(QuantizePlan& plan, TensorTransforms transforms,
                      const Calibration& calibration);

// What the new file says of its making.
struct Provenance {
  std::string version;          // of weir
  std::string source;           // file name, without directories
  Hash128 source_identity;      // engine::model_identity
  std::string importance_file;  // name, or empty
  std::string moments_file;     // name, or empty
  std::string method = {};      // as --method has it; empty: the search alone
  // --rotations and --transform-type, or empty, and the seed of the signs where it counts.
  std::string rotations = {}, transform_type = {};
  std::optional<uint64_t> rotation_seed = std::nullopt;
  // Of all text that the weights depend on, that of the source's own calibration among it.
  std::optional<TextWindows> windows = std::nullopt;
  // What changes when the source's files or those of moments do; not written, an unfinished run is
  // told apart by it.
  std::string source_stamp = {};
};

struct QuantizeProgress {
  uint64_t done_bytes = 0, all_bytes = 0;  // of source data
  std::string_view tensor;
};

struct OutputOptions {
  std::string path;
  std::optional<gguf::SplitLimits> split = {};  // parts, named after `path`
  // Refuse to begin anew where an unfinished run of something else is there, and keep what is
  // written when a disk fills up.
  bool resume = false;
};

struct Written {
  std::vector<std::string> files;
  size_t taken_over = 0;  // tensors of an unfinished run
  std::string discarded;  // why an unfinished run that was there did not count
};

// Writes the plan's file, or its parts. They appear under their names whole and synced, or not at
// all (os/output_set.h: of parts that a kill catches between two names the first is missing); the
// bytes are the same for any number of threads, and for a run that was killed and goes on: one that
// is called again with the same plan takes over the tensors that are there, after checking their
// hashes. Memory: some 60 MiB beyond the importance matrix, with GPTQ 16 bytes for each pair of a
// matrix's columns, and 4 bytes for each value of a matrix (of an expert) whose rows are rotated;
// pages of the source are given back as it goes. Errors: kIo (a full disk: also
// before anything is written), kInvalidValue naming the tensor, row and column of a value that is
// none, kCorrupt with the element of one that is copied; those of make_parts and
// QuantizedOutput::open; nothing is left behind then, but for kIo with output.resume.
Result<Written> write_quantized(const gguf::File& file, const QuantizePlan& plan,
                                const Calibration& calibration, const Provenance& provenance,
                                kernels::ThreadPool& pool, const OutputOptions& output,
                                const std::function<void(const QuantizeProgress&)>& progress);

}  // namespace weir::ops
