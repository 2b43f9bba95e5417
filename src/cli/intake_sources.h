// What weir intake reads beside flags: models, traces, running servers.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "cli/intake_config.h"
#include "cli/intake_host.h"
#include "cli/intake_metrics.h"
#include "ops/intake/intake.h"
#include "ops/plan/model_shape.h"
#include "ops/project/project.h"

namespace weir::cli {

struct IntakeSources {
  std::string model;  // as find_model takes it; or empty
  HostSource host;
  ConfigSource config;
  std::string trace;  // a file of requests; or empty
  MetricsOptions metrics;
};

void add_source_options(CLI::App* command, IntakeSources& sources);

struct FoundModel {
  ops::ModelShape shape;
  std::string name, tokenizer;  // what turns its text into tokens; empty where that is not known
  std::string source;           // a path, or the id of a published model
  std::string evidence;
  bool published = false;  // from the list that weir carries
};

// A published model's id or name, a GGUF file or its name, a folder with config.json, or a
// config.json. Error kNotFound when it is none of them.
Result<FoundModel> find_model(const std::string& model);

// The fields that such a model answers. The same errors.
Result<ops::Intake> read_model_source(const std::string& model);

// What they say, together; evidence that is kept goes to the project. Of two that are known equally
// a trace comes before a server's metrics, which are coarser. Errors: those of the readers, naming
// the file.
Result<ops::Intake> read_sources(const IntakeSources& sources, const ops::Project& project);

}  // namespace weir::cli
