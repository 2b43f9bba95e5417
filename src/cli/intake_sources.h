// What weir intake reads beside flags: models, and what later sources add.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "cli/intake_config.h"
#include "cli/intake_host.h"
#include "ops/intake/intake.h"
#include "ops/plan/model_shape.h"

namespace weir::cli {

struct IntakeSources {
  std::string model;  // a GGUF file, a folder, a config.json; or empty
  HostSource host;
  ConfigSource config;
};

void add_source_options(CLI::App* command, IntakeSources& sources);

// The shape of a model that is a GGUF file, a folder with config.json, or a config.json. Error
// kNotFound when it is none of them.
Result<ops::ModelShape> model_shape_of(const std::string& model);

// What they say, together. Errors: those of the readers, naming the file.
Result<ops::Intake> read_sources(const IntakeSources& sources);

}  // namespace weir::cli
