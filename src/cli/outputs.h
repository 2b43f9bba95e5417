// Files that a command writes at its end, looked at before it begins.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::cli {

// What is to be written after a long run: (flag, path), "" for none. Error kUsage for a path that
// stands twice, is one of `inputs`, or lies in no folder.
Status check_outputs(const std::vector<std::pair<std::string, std::string>>& outputs,
                     const std::vector<std::string>& inputs);

// The files of a model: of a split one all parts, of a folder all that is in it.
std::vector<std::string> model_files(const std::string& path);

// check_outputs for a command that reads models, as resolve_model takes them ("" for none), and
// other files. Also the errors of resolve_model.
Status check_outputs_of_models(const std::vector<std::pair<std::string, std::string>>& outputs,
                               const std::vector<std::string>& models,
                               std::vector<std::string> inputs);

}  // namespace weir::cli
