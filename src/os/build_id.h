// Which build of the program this is.
#pragma once

#include <string>

namespace weir::os {

// The GNU build ID that the linker wrote into the running program, in lower-case hexadecimal: a sum
// of its contents, so another build has another one. "": linked without. Any thread.
// Source: ELF note NT_GNU_BUILD_ID, ld(1) --build-id.
std::string build_id();

}  // namespace weir::os
