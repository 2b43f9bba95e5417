// A report as one JSON document, and the reading of it back.
//
// {"schema":"weir.bench.load/1", "runs":[...], ...}: weir's own names, all of Report. Beside it,
// for tools that read those: "vllm", a list of one object a run with the fields that `vllm bench
// serve
// --save-result` writes (request_throughput, mean_ttft_ms, p99_itl_ms, ...;
// vllm/benchmarks/serve.py), and "guidellm", {"benchmarks":[{"metrics":{...}}]} with the names and
// units of guidellm's GenerativeMetrics (src/guidellm/benchmark/schemas/generative/metrics.py). A
// field that weir does not measure is absent, never made up.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "bench/report/report.h"
#include "text/json.h"

namespace weir::bench {

inline constexpr std::string_view kReportSchema = "weir.bench.load/1";

text::Json report_json(const Report& report);
text::Json vllm_json(const LoadSummary& run);
text::Json guidellm_json(const Report& report);

// Reads what report_json wrote; the bytes are taken for hostile. The sections for other tools are
// not read. Errors: kInvalidJson; kUnsupported for another schema; kInvalidValue with the path of
// the member that is missing, of the wrong type, or out of range; kLimit for more than kMaxRuns
// runs or kMaxReportBytes.
Result<Report> read_report(std::string_view bytes);

inline constexpr size_t kMaxReportBytes = size_t{64} << 20;
inline constexpr size_t kMaxRuns = 1000;

}  // namespace weir::bench
