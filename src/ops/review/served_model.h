// The model that a configuration serves, held against the one that is reviewed or was measured.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/release/manifest.h"
#include "ops/review/env_config.h"

namespace weir::ops {

// Whether both name the same model: by their last parts ("ORG/NAME", "models/name.gguf"), without
// case and ".gguf".
bool same_model_name(std::string_view a, std::string_view b);

// What clients may call the model of an engine; empty where the file does not say.
std::vector<std::string> served_names(const EngineUse& use);

// "FILE:LINE: ..." where an engine serves another model than `model`, or fetches the repository of
// `model` without its commit; "" where none does. A path that is here is compared as a file, the
// name of a repository by its last part; an absolute path that is not here (mounted elsewhere) and
// "$NAME" say nothing. folder: the project's.
std::string other_model(const EnvConfig& config, const ReleaseModel& model,
                        const std::string& folder);

// "Q4_K" or "int4": what the file of the model itself, a GGUF file or a folder with config.json,
// says that its weights are quantized to; "" where they are not, or it cannot be read here.
std::string quantized_to(const ReleaseModel& model, const std::string& folder);

}  // namespace weir::ops
