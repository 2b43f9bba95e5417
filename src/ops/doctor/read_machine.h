// Reads the facts of a machine.
#pragma once

#include "ops/doctor/host_files.h"
#include "ops/doctor/machine.h"

namespace weir::ops {

// Never fails: what is not there is absent, and what cannot be understood is named in `problems`.
Machine read_machine(HostFiles& files);

// "measured.json" of a snapshot. Errors: kInvalidJson, kInvalidValue.
Result<Measured> parse_measured(std::string_view json);
std::string measured_json(const Measured& measured);

}  // namespace weir::ops
