#include "ops/skill/install.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "ops/skill/pack.h"
#include "ops/skill/page.h"
#include "os/atomic_folder.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kMaxFileBytes = 4U << 20U;
constexpr std::string_view kServers = "mcpServers";
constexpr std::string_view kEntry = "weir";

Result<std::string> pack_name(const std::vector<SkillFile>& files) {
  if (files.empty() || files.front().name != "SKILL.md")
    return make_error(ErrorCode::kUnsupported, "this program was built without a skill pack");
  WEIR_ASSIGN(const Page page, read_page(files.front().text, files.front().name));
  WEIR_ASSIGN(SkillHead head, read_skill_head(page.front_matter));
  return std::move(head.name);
}

// Whether the folder holds exactly these files.
bool same(const fs::path& folder, const std::vector<SkillFile>& files) {
  std::error_code error;
  size_t there = 0;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    there += it->is_directory(error) ? 0 : 1;
  return there == files.size() && std::all_of(files.begin(), files.end(), [&](const SkillFile& f) {
           const auto text = os::read_file((folder / f.name).string(), kMaxFileBytes);
           return text.ok() && *text == f.text;
         });
}

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return make_error(ErrorCode::kIo, "cannot make {}: {}", folder.string(), error.message());
  return {};
}

// What a run left that was killed between the two renames of replace_folder().
void recover(const fs::path& target) {
  std::error_code error;
  const fs::path old = target.string() + ".old";
  if (!fs::exists(target, error) && fs::exists(old, error)) fs::rename(old, target, error);
}

// In one step where the file system can, so that a kill leaves an old or a new one; else in two,
// and the next run recovers.
Status replace_folder(const fs::path& target, const std::string& fresh) {
  std::error_code error;
  if (renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(fresh, error);
    return {};
  }
  const std::string old = target.string() + ".old";
  fs::remove_all(old, error);
  fs::rename(target, old, error);
  if (!error) fs::rename(fresh, target, error);
  if (error)
    return make_error(ErrorCode::kIo, "cannot replace {}: {}; the new one is {}", target.string(),
                      error.message(), fresh);
  fs::remove_all(old, error);
  return {};
}

// Beside it first, so that there is always an old or a new one.
Status write_pack(const fs::path& target, const std::vector<SkillFile>& files, bool replace) {
  const std::string fresh = target.string() + ".new";
  std::error_code error;
  fs::remove_all(fresh, error);  // of a run that was killed
  WEIR_ASSIGN(os::AtomicFolder folder, os::AtomicFolder::create(replace ? fresh : target.string()));
  for (const SkillFile& file : files) {
    const fs::path path = folder.file(file.name);
    WEIR_TRY(make_folder(path.parent_path()));
    WEIR_TRY(os::write_file_atomic(path.string(), file.text));
  }
  WEIR_TRY(folder.commit());
  return replace ? replace_folder(target, fresh) : Status();
}

}  // namespace

Result<std::string> merged_mcp_file(std::string_view old, const std::string& command, bool force,
                                    bool& changed) {
  text::Json entry = text::Json::object();
  entry.set("command", command);
  text::Json arguments = text::Json::array();
  arguments.push_back("mcp");
  entry.set("args", std::move(arguments));
  text::Json root = text::Json::object();
  if (old.find_first_not_of(" \t\r\n") != std::string_view::npos) {
    auto parsed = text::Json::parse(old);
    if (!parsed.ok()) return make_error(ErrorCode::kCorrupt, "{}", parsed.error().message);
    root = *std::move(parsed);
  }
  const text::Json* servers = root.find(kServers);
  if (!root.is_object() || (servers != nullptr && !servers->is_object()))
    return make_error(ErrorCode::kCorrupt, "not an object with an object {} in it; mend it",
                      kServers);
  const text::Json* there = servers == nullptr ? nullptr : servers->find(kEntry);
  changed = there == nullptr || !(*there == entry);
  if (!changed) return std::string(old);
  if (there != nullptr && !force)
    return make_error(ErrorCode::kUsage, "{}.{} is another entry; give --force to replace it",
                      kServers, kEntry);
  text::Json all = servers == nullptr ? text::Json::object() : *servers;
  all.set(kEntry, std::move(entry));
  root.set(kServers, std::move(all));
  text::JsonDump dump;
  dump.indent = 2;
  dump.key = ": ";
  return root.dump(dump) + "\n";
}

Result<SkillInstalled> install_skill(const SkillInstall& request) {
  const std::vector<SkillFile> files = built_in_skill();
  WEIR_ASSIGN(const std::string name, pack_name(files));
  const fs::path project(request.folder);
  const fs::path skills = project / (request.agent == "claude" ? ".claude" : ".agents") / "skills";
  const fs::path target = skills / name;
  const fs::path mcp = project / ".mcp.json";
  std::error_code error;
  if (!fs::is_directory(project, error))
    return make_error(ErrorCode::kNotFound, "{} is no folder; make it first", request.folder);
  SkillInstalled out{target.string(), mcp.string(), files.size(), false, false};
  // All that can be refused comes before anything is written.
  auto old = os::read_file(mcp.string(), kMaxFileBytes);
  if (!old.ok() && old.error().code != ErrorCode::kNotFound) return old.error();
  auto merged = merged_mcp_file(old.ok() ? std::string_view(*old) : std::string_view(),
                                request.command, request.force, out.entry_written);
  if (!merged.ok()) return merged.error().with_context(mcp.string());
  recover(target);
  const bool there = fs::exists(target, error);
  out.pack_written = !there || !same(target, files);
  if (there && out.pack_written && !request.force)
    return make_error(ErrorCode::kUsage, "{} is there and differs; give --force to replace it",
                      target.string());
  WEIR_TRY(make_folder(skills));
  if (out.pack_written) WEIR_TRY(write_pack(target, files, there));
  if (out.entry_written) WEIR_TRY(os::write_file_atomic(mcp.string(), *merged));
  return out;
}

}  // namespace weir::ops
