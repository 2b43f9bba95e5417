// Where the facts of a machine come from: files below a root folder, and what tools print. A
// snapshot is such a folder, with the outputs under weir-doctor/.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::ops {

// One thread. Paths have no leading slash: "proc/meminfo".
class HostFiles {
 public:
  virtual ~HostFiles() = default;
  // The file's text; nullopt when it cannot be read or is larger than 4 MiB.
  virtual std::optional<std::string> file(const std::string& path) = 0;
  // Names in a folder, sorted, at most 4,096; empty when there is none.
  virtual std::vector<std::string> list(const std::string& folder) = 0;
  // What a tool prints (host_tools()), "nvidia-smi-q.xml"; nullopt when it is not there or failed.
  virtual std::optional<std::string> tool(const std::string& output) = 0;
};

// A tool whose output is of use.
struct HostTool {
  std::string output;                // name of the output in a snapshot
  std::vector<std::string> command;  // the program first, by name
  bool any_exit = false;             // its exit code says something else than failure
  std::string only_with;             // a path that must be there
};
const std::vector<HostTool>& host_tools();

// The folder `root`; outputs of tools from root/weir-doctor/. Error kNotFound: no such folder.
Result<std::unique_ptr<HostFiles>> open_host_folder(const std::string& root);

// This machine: the files below /, and the tools run, each for at most ten seconds. Outputs that
// are no tool's come from `given` ("environment.txt").
std::unique_ptr<HostFiles> open_this_host(std::map<std::string, std::string> given);

// Keeps what it passes on, so that it can be written as a snapshot.
class RecordingFiles final : public HostFiles {
 public:
  explicit RecordingFiles(HostFiles& inner) : inner_(inner) {}
  std::optional<std::string> file(const std::string& path) override;
  std::vector<std::string> list(const std::string& folder) override;
  std::optional<std::string> tool(const std::string& output) override;
  // An output of its own, such as what was measured.
  void add(const std::string& output, std::string text);
  // Makes `folder`, which must not be there, and writes all into it. Errors: kIo.
  Result<size_t> write(const std::string& folder) const;

 private:
  HostFiles& inner_;
  std::map<std::string, std::string> files_;
  std::set<std::string> folders_;
};

}  // namespace weir::ops
