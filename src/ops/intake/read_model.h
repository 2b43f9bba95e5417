// The fields that a model's shape answers.
#pragma once

#include <string>

#include "base/result.h"
#include "ops/intake/intake.h"
#include "ops/plan/model_shape.h"

namespace weir::ops {

// name and tokenizer: empty where they are not known. source: a path or an id; evidence: the file,
// or the address of a published configuration. All are measured, but for what is computed (KV bytes
// of a token in 2 bytes a number, active parameters): inferred.
Result<Intake> intake_of_model(const ModelShape& shape, const std::string& name,
                               const std::string& tokenizer, const std::string& source,
                               const std::string& evidence);

}  // namespace weir::ops
