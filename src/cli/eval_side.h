// A side of weir eval compare: a result file, a model, or one at a URL.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/eval_run.h"
#include "ops/eval/result.h"

namespace weir::cli {

struct Side {
  enum class Kind { kResult, kModel, kUrl };
  Kind kind = Kind::kResult;
  std::string result;  // path of kResult
  Subject subject;     // of the others
};

// "http://host:port/v1#model=NAME" is a URL and, behind the '#', which of its models; a folder, a
// .gguf file, or what is no file and does not end with .json, is a model; else a result file. Error
// kUsage for another fragment.
Result<Side> parse_side(const std::string& argument);

}  // namespace weir::cli
