// Files that a command writes at its end, looked at before it begins.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::cli {

// What is to be written after a long run: (flag, path), "" for none. Error kUsage for a path that
// stands twice, is one of `inputs`, lies in no folder, is a folder or a device itself, or where
// nothing can be written, which is tried: naming the flag, the path and what would work.
Status check_outputs(const std::vector<std::pair<std::string, std::string>>& outputs,
                     const std::vector<std::string>& inputs);

// That a file can be made beside `path` and take its place: one is made and removed. Error: kUsage
// as check_outputs has it.
Status check_writable(const std::string& flag, const std::string& path);

// That the disk of `path` has so many bytes; what killed runs left there goes before. Error: kIo
// with both sizes.
Status check_room(const std::string& flag, const std::string& path, uint64_t bytes);

// Whether both are to lie on one disk.
bool share_a_disk(const std::string& a, const std::string& b);

// The files of a model: of a split one all parts, of a folder all that is in it.
std::vector<std::string> model_files(const std::string& path);

// check_outputs for a command that reads models, as resolve_model takes them ("" for none), and
// other files. Also the errors of resolve_model.
Status check_outputs_of_models(const std::vector<std::pair<std::string, std::string>>& outputs,
                               const std::vector<std::string>& models,
                               std::vector<std::string> inputs);

}  // namespace weir::cli
