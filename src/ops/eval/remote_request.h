// The bodies that an OpenAI-compatible server is asked with. All that an answer depends on beside
// the server stands in them, so path and body are the key of a cached answer. Any thread.
#pragma once

#include <string>

#include "base/result.h"
#include "ops/eval/generate_items.h"
#include "ops/eval/suite.h"
#include "text/json.h"

namespace weir::ops {

struct RemoteRequest {
  std::string id;    // of the item, for errors
  std::string path;  // "/v1/chat/completions"
  std::string body;  // JSON
};

// What all requests have in common.
struct RemoteShape {
  std::string model;
  text::Json extra;              // an object whose members each request gets too, or null
  bool tools_in_prompt = false;  // tools in a system message in place of the member `tools`
};

// Greedy: temperature 0. With the task's chat template /v1/chat/completions, the item's tools in
// `tools`; else /v1/completions with the prompt as it stands.
RemoteRequest answer_request(const RemoteShape& shape, const SuiteTask& task,
                             const GenerateItem& item);

// Of a choice's prompt alone, whose tokens usage counts.
RemoteRequest context_request(const RemoteShape& shape, const ChoiceItem& item);
// Of a choice behind its prompt, with the log-probabilities of both. One token more is generated,
// as lm-evaluation-harness asks for: not every server takes 0.
RemoteRequest choice_request(const RemoteShape& shape, const ChoiceItem& item, size_t choice);

// Of /tokenize, in vLLM's and llama.cpp's members, without the tokens that a server adds.
RemoteRequest count_request(const RemoteShape& shape, const std::string& text);

}  // namespace weir::ops
