// Keeping what weir imatrix has added up while it runs, and going on with it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "ops/imatrix/unfinished.h"

namespace weir::ops {

struct CollectKeeping {
  std::string path;                  // of the file that is kept
  const Clock* clock = nullptr;      // borrowed
  uint64_t spare_bytes = 0;          // that stay free on its disk: what the results take
  bool resume = false;               // refuse to begin anew where that of another run is
  std::function<void()> there = {};  // once, when the file is of this run
  std::function<void(std::string_view)> note = {};  // what people should know; the run goes on
};

// One thread.
class Keeper {
 public:
  // Removes what killed runs left of writing it. `keeping` is borrowed.
  Keeper(const CollectKeeping& keeping, RunFingerprint run);

  // What an unfinished run of the same left, of at most `chunks`; nothing where there is none, or,
  // with a note, where it does not count. Errors with keeping.resume: kInvalidValue for one that
  // does not count. kIo for what is there and is no file.
  Result<std::optional<CollectedSums>> take_up(int64_t chunks);

  // After a chunk: keeps the sums when it is time to. A failure is a note, once.
  void chunk_done(const CollectedSums& sums);

  // Nothing can go on with what is there.
  void discard();

 private:
  Status keep(const CollectedSums& sums) const;
  void say_there();
  void note(std::string_view text) const;

  const CollectKeeping& keeping_;
  RunFingerprint run_;
  std::optional<KeepingPace> pace_;
  int64_t began_ns_;
  bool said_there_ = false, said_failure_ = false;
};

}  // namespace weir::ops
