// Answers of a model to many prompts, greedily chosen, with continuous batching: an engine that the
// calling thread steps. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace weir::ops {

struct GenerateRequest {
  std::string id;               // for errors
  std::vector<int32_t> prompt;  // tokens, at least one
  int32_t max_tokens = 0;
  std::vector<std::string> stop;
};

struct Generated {
  std::string text;
  int32_t tokens = 0;
  int32_t prompt_tokens = 0;
  bool cut = false;  // max_tokens was reached first
};

// The answer to requests[i], as soon as it is there. An error ends the run.
using GenerateDone = std::function<Status(size_t i, const Generated& answer)>;

// At most `at_once` requests are in the engine at a time. Every prompt is held against the window
// first. Errors: kContextLengthExceeded and what Engine::submit returns, with the item's id; what a
// step failed with; that of `done`.
Status generate_all(engine::Engine& engine, std::span<const GenerateRequest> requests,
                    size_t at_once, const GenerateDone& done);

}  // namespace weir::ops
