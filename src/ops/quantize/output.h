// The files of a quantized model on their way to the disk, tensor by tensor, in the plan's order.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/thread_pool.h"
#include "ops/quantize/journal.h"
#include "ops/quantize/parts.h"
#include "os/output_set.h"

namespace weir::ops {

// One thread. Nothing has its final name before commit(); os::OutputSet says what a kill leaves.
class QuantizedOutput {
 public:
  // Takes up what an unfinished run of the same fingerprint left, as far as lengths and hashes say
  // that it is whole; else begins anew. Checks that the disk has room for what is missing, and
  // writes the headers. `parts` and `pool` are borrowed. Errors: those of os::OutputSet; kIo when
  // the disk has no room; with options.resume kInvalidValue for an unfinished run of another
  // fingerprint, naming the difference, and for a journal that is none. With it what is there
  // outlives a failure, too.
  static Result<QuantizedOutput> open(const OutputOptions& options,
                                      const std::vector<QuantizedPart>& parts,
                                      const RunFingerprint& run, kernels::ThreadPool& pool);

  // Tensors that are there already; the others follow in order.
  size_t done_tensors() const { return tensor_; }
  // The next bytes of the tensor that is being written. Errors: kIo, kInternal for too many.
  Status write(std::span<const std::byte> bytes);
  // After its last bytes. Errors: kIo, kInternal when some are missing.
  Status end_tensor();
  // Errors: those of os::OutputSet::commit.
  Status commit();
  // What is there goes with this object.
  void discard() { set_.discard(); }
  // Why an unfinished run that was there did not count; empty where there was none.
  const std::string& discarded() const { return discarded_; }
  const std::string& folder() const { return set_.folder(); }

 private:
  struct Place {
    size_t file = 0;
    gguf::TensorPlace at;
  };

  QuantizedOutput(os::OutputSet set, const std::vector<QuantizedPart>& parts,
                  kernels::ThreadPool& pool);
  Status begin(const std::string& path);
  Status take_up(const OutputOptions& options, const RunFingerprint& run);
  Status go_on(const Journal& journal);
  Result<bool> holds(const Place& place, const Hash128& hash);
  Status check_room(const std::string& path) const;
  Status write_headers();
  void hash_pieces(std::span<const std::byte> bytes);
  void hash_pending();
  Hash128 take_hash();

  os::OutputSet set_;
  const std::vector<QuantizedPart>* parts_;
  kernels::ThreadPool* pool_;
  std::vector<Place> places_;       // of the plan's tensors
  size_t tensor_ = 0;               // being written
  uint64_t done_ = 0;               // bytes of it
  std::vector<std::byte> pending_;  // of it, not hashed yet
  std::vector<Hash128> hashes_;     // of its pieces so far
  std::string discarded_;
};

}  // namespace weir::ops
