// Which file a MODEL argument means.
#pragma once

#include <string>

#include "base/result.h"

namespace weir::cli {

// A path as it is (a file or a folder), or a name: models/NAME.gguf or models/NAME below the
// working directory, then beside the checkout or prefix that the program lies in. Error: kNotFound
// with the places looked at and the names that are there.
Result<std::string> resolve_model(const std::string& model);

// The name a server announces for a model file: the file name without directories and ".gguf", in
// lower case.
std::string model_name(const std::string& path);

}  // namespace weir::cli
