// What a thread asks of operator new. For tests: the program that links count_allocations_test.cc
// has the operator replaced.
#pragma once

#include <cstddef>

namespace weir::gguf {

struct Allocations {
  size_t total_bytes = 0;    // all of it, also what was freed since
  size_t largest_bytes = 0;  // in one piece
};

// Of the calling thread.
void reset_allocations();
Allocations allocations();

}  // namespace weir::gguf
