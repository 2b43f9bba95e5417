#include "ops/doctor/host_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "os/file.h"
#include "os/run_program.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = 4 << 20;
constexpr uint64_t kMaxOutputBytes = 8 << 20;
constexpr size_t kMaxNames = 4096;
const std::string kOutputs = "weir-doctor/";

class FolderFiles : public HostFiles {
 public:
  explicit FolderFiles(std::string root) : root_(std::move(root)) {}

  std::optional<std::string> file(const std::string& path) override {
    return read(path, kMaxFileBytes);
  }

  std::vector<std::string> list(const std::string& folder) override {
    std::vector<std::string> names;
    std::error_code error;
    fs::directory_iterator it(root_ + "/" + folder, error);
    for (; !error && it != fs::directory_iterator() && names.size() < kMaxNames;
         it.increment(error))
      names.push_back(it->path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  std::optional<std::string> tool(const std::string& output) override {
    return read(kOutputs + output, kMaxOutputBytes);
  }

 protected:
  std::optional<std::string> read(const std::string& path, uint64_t limit) const {
    auto text = os::read_file(root_ + "/" + path, limit);
    if (!text.ok()) return std::nullopt;
    return std::move(*text);
  }

 private:
  std::string root_;
};

class ThisHost final : public FolderFiles {
 public:
  explicit ThisHost(std::map<std::string, std::string> given)
      : FolderFiles(""), given_(std::move(given)) {}

  std::optional<std::string> tool(const std::string& output) override {
    if (const auto it = given_.find(output); it != given_.end()) return it->second;
    for (const HostTool& t : host_tools()) {
      if (t.output == output) return run(t);
    }
    return std::nullopt;
  }

 private:
  std::optional<std::string> run(const HostTool& t) {
    std::error_code error;
    if (!t.only_with.empty() && !fs::exists("/" + t.only_with, error)) return std::nullopt;
    std::vector<std::string> command = t.command;
    command[0] = os::find_program(command[0]);
    if (command[0].empty()) return std::nullopt;
    for (std::string& word : command) {
      if (word == "HOSTNAME") word = host_name();
    }
    auto text =
        os::run_program(command, {.timeout_ms = 10'000, .max_bytes = kMaxOutputBytes}, t.any_exit);
    if (!text.ok() || text->empty()) return std::nullopt;
    return std::move(*text);
  }

  std::string host_name() {
    std::string name = file("proc/sys/kernel/hostname").value_or("");
    name.erase(std::min(name.find('\n'), name.size()));
    return name;
  }

  std::map<std::string, std::string> given_;
};

}  // namespace

const std::vector<HostTool>& host_tools() {
  static const std::vector<HostTool> tools = {
      {"lscpu.txt", {"env", "LC_ALL=C", "lscpu"}, false, ""},
      {"nvidia-smi-q.xml", {"nvidia-smi", "-q", "-x"}, false, ""},
      {"nvidia-smi-topo.txt", {"nvidia-smi", "topo", "-m"}, false, ""},
      {"services.txt",
       {"systemctl", "is-active", "irqbalance", "nvidia-fabricmanager", "nvidia-persistenced"},
       true,
       "run/systemd/system"},
      {"kubectl-node.txt",
       {"kubectl", "--request-timeout=5s", "describe", "node", "HOSTNAME"},
       false,
       "var/lib/kubelet"},
  };
  return tools;
}

Result<std::unique_ptr<HostFiles>> open_host_folder(const std::string& root) {
  std::error_code error;
  if (!fs::is_directory(root, error))
    return make_error(ErrorCode::kNotFound,
                      "{} is no folder: give the root of a machine, or a "
                      "snapshot that weir doctor --capture wrote",
                      root);
  if (!fs::exists(root + "/proc", error) && !fs::exists(root + "/sys", error))
    return make_error(ErrorCode::kCorrupt,
                      "{} is no snapshot of weir doctor --capture and no root of a machine: it has "
                      "neither proc nor sys",
                      root);
  return std::unique_ptr<HostFiles>(std::make_unique<FolderFiles>(root));
}

std::unique_ptr<HostFiles> open_this_host(std::map<std::string, std::string> given) {
  return std::make_unique<ThisHost>(std::move(given));
}

std::optional<std::string> RecordingFiles::file(const std::string& path) {
  auto text = inner_.file(path);
  if (text) files_[path] = *text;
  return text;
}

std::vector<std::string> RecordingFiles::list(const std::string& folder) {
  auto names = inner_.list(folder);
  for (const std::string& name : names) folders_.insert(fmt::format("{}/{}", folder, name));
  return names;
}

std::optional<std::string> RecordingFiles::tool(const std::string& output) {
  auto text = inner_.tool(output);
  if (text) add(output, *text);
  return text;
}

void RecordingFiles::add(const std::string& output, std::string text) {
  files_[kOutputs + output] = std::move(text);
}

Result<size_t> RecordingFiles::write(const std::string& folder) const {
  std::error_code error;
  if (fs::exists(folder, error))
    return make_error(ErrorCode::kIo, "{} is there already: name a new folder", folder);
  const auto place = [&](const std::string& path) -> Result<std::string> {
    const fs::path target = fs::path(folder) / path;
    std::error_code failed;
    fs::create_directories(target.parent_path(), failed);
    if (failed) return os::system_error("make", target.parent_path().string(), failed.value());
    return target.string();
  };
  for (const auto& [path, text] : files_) {
    WEIR_ASSIGN(const std::string target, place(path));
    WEIR_TRY(os::write_file_atomic(target, text));
  }
  // Names that were only listed: empty folders stand for them.
  for (const std::string& path : folders_) {
    WEIR_ASSIGN(const std::string target, place(path));
    if (!fs::exists(target, error)) fs::create_directory(target, error);
  }
  return files_.size();
}

}  // namespace weir::ops
