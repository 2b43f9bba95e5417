#include "ops/plan/measurement.h"

#include <fmt/format.h>

#include <cmath>
#include <initializer_list>
#include <optional>

#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr uint64_t kMaxBytes = uint64_t{64} << 20;
constexpr double kMostMs = 1e9, kMostTokens = 1e9, kMostRate = 1e9;

const Json* at(const Json& json, std::initializer_list<const char*> path) {
  const Json* here = &json;
  for (const char* key : path) {
    here = here->find(key);
    if (here == nullptr) return nullptr;
  }
  return here;
}

// 0: not there, not a number, or none that can be one of these.
double number(const Json& json, std::initializer_list<const char*> path, double most) {
  const Json* found = at(json, path);
  if (found == nullptr || !found->is_number()) return 0;
  const double v = found->as_double();
  return v > 0 && v <= most ? v : 0;
}

double ms(const Json& json, std::initializer_list<const char*> path) {
  return number(json, path, kMostMs);
}

// Also SGLang's, which has the same names but no percentiles besides p99.
Measurement of_vllm(const Json& run) {
  Measurement m;
  m.tool = "vllm";
  m.requests_per_s = number(run, {"request_throughput"}, kMostRate);
  const double completed = number(run, {"completed"}, 1e12);
  if (completed > 0) {
    m.prompt_tokens = number(run, {"total_input_tokens"}, 1e15) / completed;
    m.output_tokens = number(run, {"total_output_tokens"}, 1e15) / completed;
  }
  m.ttft_ms_p50 = ms(run, {"median_ttft_ms"});
  m.ttft_ms_p95 = ms(run, {"p95_ttft_ms"});
  m.itl_ms_p50 = ms(run, {"median_itl_ms"});
  m.itl_ms_p95 = ms(run, {"p95_itl_ms"});
  const Json* rate = run.find("request_rate");
  m.closed = rate != nullptr && rate->is_string();  // "inf": bounded by max_concurrency
  return m;
}

Measurement of_guidellm(const Json& run) {
  Measurement m;
  m.tool = "guidellm";
  const auto value = [&run](const char* name, const char* what) {
    return number(run, {"metrics", name, "successful", what}, kMostMs);
  };
  const auto p95 = [&run](const char* name) {
    return ms(run, {"metrics", name, "successful", "percentiles", "p95"});
  };
  m.requests_per_s = value("requests_per_second", "mean");
  m.prompt_tokens = value("prompt_token_count", "mean");
  m.output_tokens = value("output_token_count", "mean");
  m.ttft_ms_p50 = value("time_to_first_token_ms", "median");
  m.ttft_ms_p95 = p95("time_to_first_token_ms");
  m.itl_ms_p50 = value("inter_token_latency_ms", "median");  // of requests' means
  return m;
}

Measurement of_aiperf(const Json& run) {
  Measurement m;
  m.tool = "aiperf";
  m.requests_per_s = number(run, {"request_throughput", "avg"}, kMostRate);
  m.prompt_tokens = number(run, {"input_sequence_length", "avg"}, kMostTokens);
  m.output_tokens = number(run, {"output_sequence_length", "avg"}, kMostTokens);
  m.ttft_ms_p50 = ms(run, {"time_to_first_token", "p50"});
  m.ttft_ms_p95 = ms(run, {"time_to_first_token", "p95"});
  m.itl_ms_p50 = ms(run, {"inter_token_latency", "p50"});  // of requests' means
  m.closed = at(run, {"input_config", "loadgen", "request_rate"}) == nullptr;
  return m;
}

// What is missing of a usable measurement; "": nothing.
std::string missing(const Measurement& m) {
  if (m.requests_per_s <= 0) return "requests a second";
  if (m.prompt_tokens <= 0) return "tokens of prompts";
  if (m.output_tokens <= 0) return "tokens of answers";
  if (m.ttft_ms_p50 <= 0) return "the median time to first token";
  if (m.itl_ms_p50 <= 0) return "the median time between tokens (were answers streamed?)";
  return "";
}

}  // namespace

Result<std::vector<Measurement>> parse_measurements(std::string_view json) {
  WEIR_ASSIGN(const Json all, Json::parse(json));
  std::vector<Measurement> read;
  const auto each = [&read](const Json& list, Measurement (*of)(const Json&)) {
    for (const Json& run : list.items()) read.push_back(of(run));
  };
  const Json* vllm = all.find("vllm");
  const Json* benchmarks = all.find("benchmarks");
  if (vllm != nullptr && vllm->is_array()) {  // weir's own
    each(*vllm, of_vllm);
  } else if (benchmarks != nullptr && benchmarks->is_array()) {
    each(*benchmarks, of_guidellm);
  } else if (all.is_array()) {
    each(all, of_vllm);
  } else if (all.find("median_ttft_ms") != nullptr) {
    read.push_back(of_vllm(all));
  } else if (all.find("time_to_first_token") != nullptr) {
    read.push_back(of_aiperf(all));
  } else {
    return make_error(ErrorCode::kInvalidValue,
                      "is no result of weir bench load --json, vllm bench serve --save-result, "
                      "guidellm, aiperf or genai-perf: none of vllm, benchmarks, median_ttft_ms, "
                      "time_to_first_token is there");
  }
  std::vector<Measurement> usable;
  std::string why = "it has no run";
  for (Measurement& m : read) {
    const std::string lacks = missing(m);
    if (lacks.empty()) {
      usable.push_back(std::move(m));
    } else {
      why = fmt::format("a run of {} does not tell {}", m.tool, lacks);
    }
  }
  if (usable.empty()) {
    return make_error(ErrorCode::kInvalidValue, "has no measurement that can be fitted: {}", why);
  }
  return usable;
}

Result<std::vector<Measurement>> read_measurements(const std::string& path) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxBytes));
  auto read = parse_measurements(text);
  if (read.ok()) return read;
  return make_error(read.error().code, "{} {}", path, read.error().message);
}

}  // namespace weir::ops
