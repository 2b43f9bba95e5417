// The facts and rules that travel inside the program: the files of data/ and of the decision trees.
#pragma once

#include <span>
#include <string_view>

namespace weir::ops {

struct EmbeddedFile {
  std::string_view name;  // "data/models.yaml"
  std::string_view text;
};

// Any thread.
std::span<const EmbeddedFile> embedded_files();

// Precondition: the build embeds it (src/ops/CMakeLists.txt).
std::string_view embedded_file(std::string_view name);

}  // namespace weir::ops
