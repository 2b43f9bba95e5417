// What the kernel lets this process have.
#pragma once

namespace weir::os {

// Lets this process have as many descriptors as it may: every connection takes one, and the usual
// soft limit of 1,024 lies below what a server or a load generator keeps open. Process-wide; never
// fails visibly.
void raise_descriptor_limit();

}  // namespace weir::os
