#include "base/paths_testing.h"

#include <cstdlib>

namespace weir::testing {

std::string repository_path(const std::string& name) { return WEIR_SOURCE_DIR "/" + name; }

std::string shared_path(const std::string& name) {
  const char* root = std::getenv("WEIR_SHARED");
  return (root != nullptr ? std::string(root) : repository_path("../shared")) + "/" + name;
}

}  // namespace weir::testing
