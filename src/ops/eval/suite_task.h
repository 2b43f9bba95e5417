// A task of a suite's YAML. Internal to ops/.
#pragma once

#include "ops/eval/suite.h"
#include "ops/eval/yaml_reader.h"

namespace weir::ops {

// Each kind has keys of its own; one that the kind does not read is an error.
Result<SuiteTask> read_suite_task(const YamlReader& reader, const config::Node& node);

}  // namespace weir::ops
