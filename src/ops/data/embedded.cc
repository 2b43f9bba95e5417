#include "ops/data/embedded.h"

#include <algorithm>
#include <cassert>

namespace weir::ops {

std::string_view embedded_file(std::string_view name) {
  const auto files = embedded_files();
  const auto it = std::find_if(files.begin(), files.end(),
                               [&](const EmbeddedFile& f) { return f.name == name; });
  assert(it != files.end());
  return it == files.end() ? std::string_view() : it->text;
}

}  // namespace weir::ops
