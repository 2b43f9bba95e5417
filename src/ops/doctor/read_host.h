// The parts of read_machine, each into its own fields. Internal to ops/.
#pragma once

#include "ops/doctor/host_files.h"
#include "ops/doctor/machine.h"

namespace weir::ops {

void read_cpu(HostFiles& files, Machine& out);         // cpu, nodes, clock sources
void read_memory(HostFiles& files, Machine& out);      // memory, sysctl
void read_process(HostFiles& files, Machine& out);     // process, cgroup
void read_container(HostFiles& files, Machine& out);   // container, mounts, shm_bytes, disks
void read_interrupts(HostFiles& files, Machine& out);  // interrupts; services must be read

// The first line of a file, trimmed; "" when there is none.
std::string first_line(HostFiles& files, const std::string& path);

}  // namespace weir::ops
