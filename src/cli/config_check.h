// weir config check and migrate: configurations of engines held against their snapshots.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/lint/rules.h"
#include "text/json.h"

namespace weir::cli {

struct CheckOptions {
  std::string engine;  // empty: as the file says
  std::string file;
  std::string version;
  std::string model;        // a config.json, a folder with one, an id of data/models.yaml
  std::string accelerator;  // an id of data/accelerators.yaml
  int64_t count = 0;
  double weight_bits = 0;  // 0: as model and configuration say
  bool json = false;
};

void add_check_options(CLI::App* command, CheckOptions& options);

// Prints what is found. kExitOk without errors and warnings, else kExitNo. Errors: those of
// ops::lint_text and of reading files.
Result<int> check_engine_file(const CheckOptions& options);

text::Json findings_json(const std::vector<ops::Finding>& findings);
void print_findings(const std::string& file, const std::vector<ops::Finding>& findings);

// Whether the file is a configuration of weir itself by most of its keys. A file that
// cannot be read is taken for one: its reader says why.
bool is_weir_file(const std::string& file);
// Whether it is one of weir gateway's, by its pools.
bool is_gateway_file(const std::string& file);
// Whether it is one YAML map, and neither a manifest nor a Compose file.
bool is_plain_map(const std::string& file);

}  // namespace weir::cli
