// Writing a Hugging Face folder with quantized weights, as GPU engines load it: the matrices of the
// transformer blocks in a scheme, all else as it is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/fold_rules.h"
#include "checkpoint/quantize_calibration.h"
#include "checkpoint/quantize_scheme.h"
#include "kernels/thread_pool.h"

namespace weir::checkpoint {

// What is to be done with a folder; holds its files mapped. Movable; one thread.
class FolderPlan final : public ScalePlaces {
 public:
  struct Tensor {
    std::string name;        // in the source
    uint64_t bytes = 0;      // in the new folder
    bool quantized = false;  // else copied
  };

  // Errors: kNotFound, kCorrupt, kLimit for what is wrong with the folder; kUnsupported for a GGUF
  // file, a model type that is not known, weights that are quantized already or lie in a way that
  // the scheme has none for, naming the tensor and what to do.
  static Result<FolderPlan> make(const std::string& path, const QuantizeScheme& scheme);
  FolderPlan(FolderPlan&&) noexcept;
  FolderPlan& operator=(FolderPlan&&) noexcept;
  ~FolderPlan() override;

  const QuantizeScheme& scheme() const;
  const std::vector<Tensor>& tensors() const;  // in the order in which they are written
  uint64_t source_bytes() const;               // of tensor data
  uint64_t bytes() const;                      // of tensor data
  uint64_t weights() const;
  // Modules of matrices in the transformer blocks that are of no known use and stay as they are.
  const std::vector<std::string>& unknown() const;

  // What AWQ and SmoothQuant change (fold_rules.h).
  const std::vector<Place>& places() const override;
  Result<std::vector<float>> sample(size_t place, size_t most_rows) const override;
  // By the nearest codes; never fails.
  Status round_trip(size_t place, size_t most_rows, std::span<const float> weights,
                    std::span<float> values) const override;
  void fold(size_t place, std::vector<float> factors) override;

  struct Progress {
    uint64_t done_bytes = 0, all_bytes = 0;  // of source data
    std::string_view tensor;
  };

  // Writes the folder `out`, which must not be there: it appears whole and synced, or not at all.
  // The bytes are the same for any number of threads. Memory: a matrix in its new form, and a few
  // MiB for each thread. calibration: nullptr, or asked about every matrix, and every layer's cache
  // where the scheme has one. Its scales are no tensors() but count in bytes().
  // Errors: kIo (a full disk: also before anything is written), kInvalidValue naming the tensor and
  // row of a value that is none (its element, of a tensor that is copied), and those of the
  // calibration; nothing is left behind then.
  Status write(const std::string& out, kernels::ThreadPool& pool, FolderCalibration* calibration,
               const std::function<void(const Progress&)>& progress) const;

 private:
  struct State;
  explicit FolderPlan(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::checkpoint
