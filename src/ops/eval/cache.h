// Answers and scores of a model that were computed before, in a file of JSON lines that only grows:
// a run that was killed goes on where it was, and a second one computes nothing. A key names model,
// kernels, build and all that the answer depends on (cache_key), so a file may hold many of each.
//
// What a kill left of a last line is cut off when the file is opened. One process at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "ops/eval/result.h"

namespace weir::ops {

struct CachedAnswer {
  std::string text;
  int32_t tokens = 0;
  bool cut = false;   // as Generated has it
  EvalScores scores;  // of kinds that compute them with the model; else empty
};

// 32 hexadecimal digits of what an answer depends on, each part with its length.
std::string cache_key(std::span<const std::string> parts);

// One thread.
class ResultCache {
 public:
  static constexpr uint64_t kMaxBytes = uint64_t{4} << 30;

  // Reads the file or makes it. Errors: kIo, also when another process has it or it is a device;
  // kCorrupt with file and line for one that is no cache, or that holds a line that is broken and
  // not the last; kLimit.
  static Result<ResultCache> open(const std::string& path);
  ResultCache(ResultCache&& other) noexcept;
  ResultCache& operator=(ResultCache&&) = delete;
  ~ResultCache();

  // nullptr: not there.
  const CachedAnswer* find(const std::string& key) const;
  // Adds a line; task and item are for people. It survives a kill of this process, not a power cut.
  // Errors: kIo.
  Status put(const std::string& key, std::string_view task, std::string_view item,
             CachedAnswer answer);

  size_t size() const { return answers_.size(); }
  size_t cut_bytes() const { return cut_bytes_; }  // of a torn last line

 private:
  ResultCache() = default;
  Status read(const std::string& text);

  std::string path_;
  int fd_ = -1;
  size_t cut_bytes_ = 0;
  std::unordered_map<std::string, CachedAnswer> answers_;
};

}  // namespace weir::ops
