#include "gateway/misplaced_files.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

namespace weir::gateway {
namespace {

bool exists(const std::string& path) {
  std::error_code unreadable;  // is not there
  return std::filesystem::exists(path, unreadable);
}

bool is_misplaced(const NamedFile& f) {
  return f.path != f.given && !exists(f.path) && exists(f.given);
}

std::string told(const NamedFile& f) {
  return fmt::format(
      "{0}: {1} is not there, and {2} is, in the folder where this was started: paths begin at the "
      "file's own folder; move it, or write its whole path",
      f.key, f.path, f.given);
}

}  // namespace

std::vector<std::string> misplaced(const std::vector<NamedFile>& files) {
  std::vector<std::string> out;
  for (const NamedFile& f : files)
    if (is_misplaced(f)) out.push_back(told(f));
  return out;
}

Error say_misplaced(Error error, const std::vector<NamedFile>& files) {
  for (const NamedFile& f : files) {
    if (error.message.find(f.path) == std::string::npos || !is_misplaced(f)) continue;
    error.message += "; " + told(f);
    break;
  }
  return error;
}

}  // namespace weir::gateway
