#include "base/paths_testing.h"

#include <cstdlib>

namespace weir::paths {

std::string repository(const std::string& name) { return WEIR_SOURCE_DIR "/" + name; }

std::string shared(const std::string& name) {
  const char* root = std::getenv("WEIR_SHARED");
  return (root != nullptr ? std::string(root) : repository("../shared")) + "/" + name;
}

}  // namespace weir::paths
