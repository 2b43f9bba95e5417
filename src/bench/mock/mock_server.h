// An OpenAI-compatible server without a model: answers of the wanted length at the wanted pace, to
// test clients and to know what a load generator itself costs. A token is a word.
//
// POST /v1/completions, /v1/chat/completions (streamed or whole), /tokenize; GET /v1/models,
// /health.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace weir::bench {

struct MockOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;  // 0: any free one
  std::string model = "mock";
  double ttft_ms = 0;  // from start (after a wait for a slot) to first token
  double itl_ms = 0;   // between tokens; 0: all with the first
  double jitter = 0;   // 0 to 1: each of the two times varies evenly by so much of itself
  int32_t slots = 0;   // requests generated at once; more wait in order of arrival. 0: no bound
  int32_t max_waiting = 100'000;  // beyond: 503
  // Shares of requests that fail, drawn by seed and the request's number.
  double error_rate = 0;   // 500
  double reject_rate = 0;  // 503 with Retry-After
  double cut_rate = 0;     // the stream breaks after half of its tokens
  uint64_t seed = 1;
  size_t max_connections = 16384;
};

class MockServer {
 public:
  // Serves until destroyed. clock outlives it. Errors: those of http::Server::start.
  static Result<std::unique_ptr<MockServer>> start(MockOptions options, const Clock& clock);
  ~MockServer();
  uint16_t port() const;

 private:
  struct Impl;
  explicit MockServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::bench
