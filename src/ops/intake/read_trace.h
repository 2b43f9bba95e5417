// The fields that a trace of requests answers.
#pragma once

#include <string>

#include "base/result.h"
#include "ops/intake/intake.h"
#include "ops/trace/traffic.h"

namespace weir::ops {

// Lengths, rates, unevenness of arrivals, shared prefixes; all measured, with the file and its
// extent as evidence. Not concurrency: a trace of arrivals does not say how long a request takes.
Result<Intake> intake_of_trace(const TraceTraffic& traffic);

// traffic.concurrency by Little's law, requests under way = arrivals a second × time of a request,
// where it is missing (or was so inferred before), and both are known: traffic.requests_per_s, and
// the mean times in queue, prefill and decode that a server showed (observed.*_ms_mean). Else
// nothing: no service time is assumed.
Status infer_concurrency(Intake& intake);

}  // namespace weir::ops
