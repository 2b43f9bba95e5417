// A run of a suite's tasks at an OpenAI-compatible server. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "ops/eval/cache.h"
#include "ops/eval/remote_client.h"
#include "ops/eval/remote_reply.h"
#include "ops/eval/remote_request.h"
#include "ops/eval/task_run.h"

namespace weir::ops {

// What a run works with; client and cache are borrowed.
struct RemoteRunner {
  RemoteClient& client;
  RemoteShape shape;
  std::optional<int64_t> window_tokens = {};  // longer haystacks are left out; unset: none is
  ResultCache* cache = nullptr;               // nullptr: none
  size_t parallel = 8;                        // requests at a time
  std::function<void(int64_t done, int64_t all)> progress = {};
  std::function<void(const std::string&)> notice = {};  // what the user should know
  RunCode run_code = {};                                // as TaskRunner has it

  // Of all that answers depend on beside the request, as far as it can be known: the server's
  // address and the model's name. Another model behind the same two needs another cache.
  std::string fingerprint() const;
};

// The server's model `wanted`, or with "" the only one it lists. A server whose list cannot be had
// is taken at its user's word. Errors: those of RemoteClient::get and parse_models_reply.
Result<ServedModel> find_remote_model(RemoteClient& client, const std::string& wanted);

// As run_task has it, with the same scores. Multiple choice: each choice is sent behind its prompt,
// and the prompt alone once, whose count of tokens says where the choice begins; so the tokens are
// those of lm-evaluation-harness, whatever the server writes into text_offset. Errors: those of
// RemoteClient::post_all and of remote_reply.h, with the item's id; of needle_items; of the cache.
Result<EvalTask> run_remote_task(const RemoteRunner& with, const LoadedTask& task, RunCost& cost);

}  // namespace weir::ops
