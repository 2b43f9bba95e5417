// A diagnosis as people, programs and shells read it.
#pragma once

#include <string>

#include "ops/doctor/rule.h"
#include "ops/sources/sources.h"
#include "text/json.h"

namespace weir::ops {

// A block a finding with found, wanted, why, source and fix, then what was fine and what was not
// asked. all: lists what is fine too. Control characters of the machine's texts are left out.
std::string doctor_text(const Machine& machine, const Diagnosis& diagnosis, const Sources& sources,
                        bool all);

text::Json doctor_json(const Machine& machine, const Diagnosis& diagnosis, const Sources& sources);

// A shell script with two functions, apply and undo, of which it calls the one that its argument
// names; without argument it says so and does nothing. What no command can do stands in comments.
std::string doctor_script(const Diagnosis& diagnosis);

}  // namespace weir::ops
