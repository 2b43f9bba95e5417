// A tree as a picture, with the way that was taken lit.
#pragma once

#include <string>

#include "ops/advise/walk.h"

namespace weir::ops {

// Mermaid's text for a flowchart. walk: nullptr for the bare tree.
std::string tree_mermaid(const Tree& tree, const Walk* walk);

// An <svg> document; leaves to the right, questions wrapped.
std::string tree_svg(const Tree& tree, const Walk* walk);

}  // namespace weir::ops
