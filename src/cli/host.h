// The machine that weir doctor and weir intake --host read: this one or a snapshot, and what
// --bench measures of it.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "ops/data/accelerators.h"
#include "ops/doctor/host_files.h"
#include "ops/doctor/machine.h"

namespace weir::cli {

// root "" or "/": this machine, whose tools are run. Of the environment it passes NCCL_* and CUDA_*
// on and that this is a pod. Errors: those of ops::open_host_folder.
Result<std::unique_ptr<ops::HostFiles>> open_host(const std::string& root);

// Memory and arithmetic on all usable cores; the disk by reading `file` ("": not). Takes some three
// seconds and 128 MB. A file that cannot be measured leaves the disk out and says so on stderr.
// Errors: kUsage for a WEIR_ISA that this machine has not.
Result<ops::Measured> measure_host(const std::string& file);

// The accelerator that --accelerator this-machine means: the CPU, its memory and arithmetic
// measured now on all usable cores. Its memory is the intake's. Errors: those of measure_host.
Result<ops::Accelerator> this_machine();

// The largest file of `model` (a GGUF file, a folder, a config.json beside its files, a name under
// models/), absolute; "" when there is none.
std::string largest_file(const std::string& model);

}  // namespace weir::cli
