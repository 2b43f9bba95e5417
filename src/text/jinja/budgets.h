// How much a template may do before it is stopped. Each passed bound is an Error kSchemaTooComplex
// that names it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::text::jinja {

struct Budgets {
  // Compiling.
  size_t source_bytes = 1 << 20;  // the largest known template has 30 KB
  int nesting = 100;              // brackets, blocks and operators within one another
  // Rendering. A step is one evaluated node, or 256 bytes of text or 16 list items handled.
  uint64_t steps = 5'000'000;        // 1.3 s on a Zen 4; real templates need ~200 a message
  int depth = 600;                   // nodes being evaluated at once, macros included
  size_t output_bytes = 64 << 20;    // of one text: the output, a captured block, a value
  size_t memory_bytes = 512U << 20;  // live values
};

}  // namespace weir::text::jinja
