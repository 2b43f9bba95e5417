// The flags of `weir bench load`, and what they mean to bench/. Internal to cli/.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/runner.h"
#include "cli/subject.h"
#include "ops/trace/dataset.h"

namespace weir::cli {

struct LoadOptions {
  // The server.
  std::string url = "http://127.0.0.1:8080";
  std::string model;
  bool chat = false;
  bool yes_remote = false;
  std::string api_key;
  std::vector<std::string> headers;
  double timeout_s = 600;
  size_t max_connections = 1024;
  // When.
  double rate_per_s = 0;
  int32_t concurrency = 0;
  std::string arrival;  // "": that of the trace, else poisson
  std::string sweep;
  std::string trace;
  double speed = 1;
  uint64_t requests = 0;
  double duration_s = 0;
  std::string warmup;
  // What.
  std::string prompts;
  std::string prompt_tokens;
  std::string output_tokens;
  bench::WorkloadSpec workload;
  bench::RequestShape shape;
  bool stop_at_eos = false;
  bool whole = false;
  std::string extra;
  // What to say.
  SubjectOptions subject;
  std::string slo;
  std::string html;
  std::string save;
  bool json = false;
  bool fail_on_slo = false;
  std::vector<std::string> compare;
  bool fail_on_worse = false;
};

// Errors of all: kUsage that names the flag; of the file: those of reading and parsing it.
Result<bench::Target> load_target(const LoadOptions& o);
Result<bench::RequestShape> load_shape(const LoadOptions& o);
// Nothing without --trace and --prompts.
Result<std::optional<ops::Dataset>> load_dataset(const LoadOptions& o);
// dataset: null or that of load_dataset.
Result<bench::WorkloadSpec> load_workload(const LoadOptions& o, const ops::Dataset* dataset);
// One, or those of a sweep.
Result<std::vector<bench::Schedule>> load_schedules(const LoadOptions& o,
                                                    const ops::Dataset* dataset);
// Everything that says what is run, in words; secrets are not in it.
std::map<std::string, std::string> load_settings(const LoadOptions& o, const bench::Target& target,
                                                 const bench::WorkloadSpec& workload,
                                                 const ops::Dataset* dataset);

}  // namespace weir::cli
