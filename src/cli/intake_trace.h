// weir intake --trace.
#pragma once

#include <string>

#include "base/result.h"
#include "ops/intake/intake.h"
#include "ops/project/project.h"

namespace weir::cli {

// Reads a trace of requests, keeps what it says as evidence of the project (trace-NAME.json and
// .html), and returns the fields that it answers. Errors: those of the reader, naming the file.
Result<ops::Intake> read_trace_source(const std::string& file, const ops::Project& project);

}  // namespace weir::cli
