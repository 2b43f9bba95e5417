// Standard input, output and error of a process that was started without some of them.
#pragma once

namespace weir::os {

// Puts something in the place of those of the descriptors 0 to 2 that are closed. Otherwise the
// next file that is opened becomes one of them, and what is printed ends up in it. Input and output
// fail as they did; errors go nowhere. Before any other file is opened; one thread.
void fill_standard_files();

}  // namespace weir::os
