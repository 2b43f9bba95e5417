// Reads a configuration of any form that is known: a command line or script, docker run, Compose,
// Kubernetes manifests (several documents in one file), a file of an engine's keys. The text may be
// hostile: its size, depth, values and documents are bounded.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "config/yaml.h"
#include "ops/deploy/deployment.h"

namespace weir::ops {

// engine: taken for the engine where the file does not say which; empty: must be recognised. name:
// of the file; its ending counts (.yaml, .yml, .json, else by the text). Errors: kCorrupt and
// kLimit "NAME:LINE: ..."; kUnsupported when nothing in it is a configuration, or no engine is
// recognised.
Result<Deployment> read_deployment(std::string_view text, std::string_view name,
                                   std::string_view engine = "");

// A YAML file's documents, by lines "---", each with the lines of the file.
Result<std::vector<config::Node>> parse_documents(std::string_view text, std::string_view name);

}  // namespace weir::ops
