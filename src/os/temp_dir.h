// A scratch directory for tests.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace weir::os {

// A fresh directory, removed with all it holds when the object goes. path() is empty when it could
// not be made.
class TempDir {
 public:
  TempDir() {
    std::error_code ignored;
    std::string pattern =
        std::filesystem::temp_directory_path(ignored).string() + "/weir-test-XXXXXX";
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace weir::os
