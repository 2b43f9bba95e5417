#include "os/run_program.h"

#include <unistd.h>

#include <array>
#include <utility>

#include "os/job.h"

namespace weir::os {
namespace {

constexpr std::array kFolders = {
    "/usr/local/sbin",      "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
    "/usr/local/nvidia/bin"};

}  // namespace

std::string find_program(const std::string& name) {
  for (const char* folder : kFolders) {
    std::string path = std::string(folder) + "/" + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

Result<std::string> run_program(const std::vector<std::string>& command,
                                const ProgramLimits& limits, bool any_exit) {
  JobSpec spec;
  spec.command = command;
  spec.max_bytes = limits.max_bytes + 1;  // one more says that there was more
  WEIR_ASSIGN(Job job, Job::start(spec));
  const auto full = [&] { return job.output().size() > limits.max_bytes; };
  JobEnd end = job.wait(limits.timeout_ms, full);
  const std::string& name = command[0];
  if (end.output.size() > limits.max_bytes)
    return make_error(ErrorCode::kLimit, "{} wrote more than {} bytes", name, limits.max_bytes);
  if (end.why == JobEnd::Why::kTimeout)
    return make_error(ErrorCode::kIo, "{} took longer than {} ms", name, limits.timeout_ms);
  if (end.why == JobEnd::Why::kSignal)
    return make_error(ErrorCode::kIo, "{} was ended by a signal", name);
  if (end.code != 0 && !any_exit)
    return make_error(ErrorCode::kIo, "{} failed with exit code {}", name, end.code);
  return std::move(end.output);
}

}  // namespace weir::os
