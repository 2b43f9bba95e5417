// A snapshot of the engine's recent past in the Trace Event Format, which chrome://tracing,
// Perfetto (ui.perfetto.dev) and speedscope read:
// docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. Pure.
//
// Process 1 is the engine: a track of steps with their phases inside, and counters for the batch,
// the pages in use and the requests that wait. Process 2 holds the requests, each a slice with
// queue, prefill (with the chunks of its prompt) and decode inside; requests that overlap lie on
// different tracks.
#pragma once

#include <cstdint>
#include <string>

#include "telemetry/trace_ring.h"

namespace weir::telemetry {

// from_ns: where the picture begins; slices that began before are cut there.
std::string chrome_trace(const TraceSnapshot& snapshot, int64_t from_ns, int64_t now_ns);

}  // namespace weir::telemetry
