// What the kernel lets this process have.
#pragma once

namespace weir::os {

// Lets this process have as many descriptors as it may: every connection takes one, and the usual
// soft limit of 1,024 lies below what a server or a load generator keeps open. Process-wide; never
// fails visibly.
//
// And has the kernel make room for the first 16,384 of them now. It doubles the table of
// descriptors when that is full, and where threads share the table it then waits until no reader of
// the old one is left (Linux, fs/file.c, expand_fdtable: synchronize_rcu): 8 to 24 ms measured, in
// which the I/O thread stands still in accept() or socket(), and every stream with it, at 256, 512
// and 1,024 connections.
void raise_descriptor_limit();

}  // namespace weir::os
