// What a load run saw, request by request: the runner writes it, statistics and reports read it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace weir::bench {

// How a request ended, coarse enough to count.
enum class Outcome {
  kOk,
  kRejected,     // 429 or 503 before any output
  kClientError,  // another 4xx
  kServerError,  // another 5xx, or an error event in the stream
  kTimeout,      // no end within the client's patience
  kConnection,   // refused, reset, closed before the end, or not HTTP
  kBadResponse,  // a 200 that is no well-formed answer
};

// All times in seconds since the start of the run, on the client's steady clock. Latencies count
// from `intended_s`, the time at which the schedule wanted the request sent: a client or server
// that falls behind does not make its own delay disappear (no coordinated omission).
struct RequestRecord {
  double intended_s = 0;
  double sent_s = 0;           // first byte handed to the socket
  double first_token_s = -1;   // first output received; -1: none
  double end_s = -1;           // last byte of the answer, or the failure
  std::vector<float> gaps_ms;  // between two pieces of output: ITL, every gap
  int32_t prompt_tokens = 0;   // as the server's usage says; else what was asked for
  int32_t output_tokens = 0;   // as the server's usage says; else pieces counted
  int32_t cached_tokens = 0;   // of the prompt, as the server's usage says
  double queue_ms = -1;        // of the server-timing header; -1: not told
  double retry_after_s = -1;   // of a refusal; -1: not told
  Outcome outcome = Outcome::kOk;
  int32_t status = 0;    // of HTTP; 0: none came
  std::string error;     // what the server or the socket said, shortened; "" when kOk
  int32_t group = -1;    // of the shared prefix
  int32_t session = -1;  // of a conversation
  int32_t turn = 0;

  double ttft_s() const { return first_token_s - intended_s; }
  double e2e_s() const { return end_s - intended_s; }
};

// One run at one setting.
struct LoadRun {
  std::string label;                            // "rate 4", "concurrency 16"
  std::map<std::string, std::string> settings;  // everything that says what was run, in words
  double offered_per_s = 0;                     // of an open loop; 0: closed
  int32_t concurrency = 0;                      // of a closed loop; 0: open
  double duration_s = 0;                        // start to the last answer
  std::vector<RequestRecord> requests;          // in order of intended_s
};

}  // namespace weir::bench
