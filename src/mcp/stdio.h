// The protocol over two file descriptors: one message a line.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio
#pragma once

#include "base/result.h"
#include "mcp/calls.h"
#include "mcp/protocol.h"

namespace weir::mcp {

// Serves until `input` ends, then ends what still runs. Nothing but messages goes to `output`; a
// line over kMaxMessageBytes is answered with an error and passed over. Errors: kIo.
Status serve_stdio(const Protocol& protocol, RunCall run, size_t calls_at_once, int input,
                   int output);

}  // namespace weir::mcp
