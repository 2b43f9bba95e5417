// Published models: data/models.yaml, from their config.json.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/plan/model_shape.h"
#include "text/json.h"

namespace weir::ops {

struct KnownModel {
  std::string id;    // "qwen3-32b"
  std::string name;  // "Qwen/Qwen3-32B"
  std::string publisher;
  std::string released;  // a month
  std::string license;
  double parameters_b = 0, active_parameters_b = 0;  // as published
  std::string config_url;
  bool verified = false;  // the config was read, not remembered
  std::string note;       // what is special; may be empty
  text::Json config;      // the keys of config.json as they stand, and what its class adds
};

// Error kCorrupt: "NAME:LINE: ..." for a missing key, an id that stands twice, a number that is
// none.
Result<std::vector<KnownModel>> parse_models(std::string_view yaml, std::string_view name);
// Those that the program carries. A test holds that they parse.
Result<std::vector<KnownModel>> built_in_models();

// Its shape, with the published number of parameters. Errors: those of read_model_shape.
Result<ModelShape> shape_of(const KnownModel& model);

}  // namespace weir::ops
