// What an unfinished run of weir imatrix has added up so far, and the file that keeps it, so that
// another run can go on to the same bits.
//
// The file, little endian, without padding: "weirimx1"; uint32 pairs and for each two strings
// (uint32 length, bytes), what the sums depend on; uint64 chunks; uint32 inputs and for each int32
// layer, int32 MatrixInput, uint64 cols, uint64 matrices, double squares [matrices, cols], double
// counts [matrices], float largest [matrices, cols]; uint32 second moments and for each int32
// layer, int32 MatrixInput, uint64 cols, double rows, float sums [cols·(cols + 1)/2]; uint32 layers
// with a cache and for each int32 layer, uint64 and uint64 columns of keys and values, floats of
// both; at last the hash of the hashes (ops/eval/fingerprint.h) of all that, a MiB at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/input_observer.h"
#include "ops/imatrix/importance.h"
#include "ops/imatrix/moments.h"
#include "ops/quantize/journal.h"

namespace weir::ops {

using InputKey = std::pair<int32_t, model::MatrixInput>;  // layer, who reads

// Sums in double precision: a long text adds millions of squares.
struct InputSums {
  size_t cols = 0;
  std::vector<double> squares;  // [matrices, cols]
  std::vector<double> counts;   // [matrices]
  std::vector<float> largest;   // [matrices, cols]
};

struct CollectedSums {
  int64_t chunks = 0;  // that went in
  std::map<InputKey, InputSums> inputs = {};
  std::map<InputKey, MomentSums> moments = {};
  std::map<int32_t, CachedLargest> cache = {};  // by layer
};

// What write_unfinished makes of them, but for `run`.
uint64_t unfinished_bytes(const CollectedSums& sums);

// Replaces the file at `path` in one step, synced. Errors: those of os::AtomicFile.
Status write_unfinished(const CollectedSums& sums, const RunFingerprint& run,
                        const std::string& path);

// Takes the file for hostile; it becomes at most some three times its size in memory, and 64 MiB.
// Errors, "it ...": kCorrupt for one that is cut, damaged or no such file; kInvalidValue for that
// of another run, naming the first difference. Those of os::MappedFile.
Result<CollectedSums> read_unfinished(const std::string& path, const RunFingerprint& run);

// When a run keeps what it has: after a second, then after twice as long each time, up to half a
// minute, so that a short run loses little as well; but never so often that keeping takes more than
// a twentieth of the time. One thread.
class KeepingPace {
 public:
  // bytes: of the first file, for a guess of what writing it takes.
  KeepingPace(int64_t now_ns, uint64_t bytes);

  bool is_due(int64_t now_ns) const { return now_ns - since_ns_ >= wait_ns_; }
  // Something was kept, or the attempt failed.
  void attempted(int64_t began_ns, int64_t ended_ns);

 private:
  int64_t since_ns_, step_ns_, wait_ns_;
};

}  // namespace weir::ops
