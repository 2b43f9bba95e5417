// What a load generator measured of one load on one replica, as the results of several tools say
// it.
//
//   weir bench load --json, vllm bench serve --save-result: a JSON document; several runs in a list
//   guidellm: benchmarks.json
//   aiperf, genai-perf: profile_export_aiperf.json, profile_export_genai_perf.json
//
// The files are taken for hostile: bounded, and errors name the field.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct Measurement {
  std::string tool;                             // "vllm", "guidellm", "aiperf"
  double requests_per_s = 0;                    // that came out
  double prompt_tokens = 0, output_tokens = 0;  // of a request, on average
  // 0: not told.
  double ttft_ms_p50 = 0, ttft_ms_p95 = 0;
  double itl_ms_p50 = 0;
  double itl_ms_p95 = 0;  // of gaps; 0 where a tool has only means of requests
  bool closed = false;    // a fixed number of requests in flight, so arrivals are even
};

// Runs without a finished request are left out. Errors: kInvalidJson; kInvalidValue for a document
// that is of none of these tools, or without a usable run, naming what is missing.
Result<std::vector<Measurement>> parse_measurements(std::string_view json);
// Of a file of at most 64 MiB; errors name it.
Result<std::vector<Measurement>> read_measurements(const std::string& path);

}  // namespace weir::ops
