// The server under load: how it is addressed, and what it says of itself before a run.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "bench/load/prompt_text.h"
#include "bench/load/workload.h"
#include "http/client.h"

namespace weir::bench {

struct Target {
  http::Url url;  // of the server, without /v1
  std::string model;
  bool chat = false;      // /v1/chat/completions in place of /v1/completions
  http::Headers headers;  // besides the content type: authorization and the like
  http::ClientTimeouts timeouts;
};

// A request to the target; the path is that of the server's root.
http::ClientRequest target_request(const Target& target, std::string method, std::string path,
                                   std::string body);

// The model's id when the server lists exactly one, for runs that do not name it. Errors: kIo when
// the server cannot be reached, kModelNotFound with the names when there are several.
Result<std::string> only_model(http::Client& client, const Target& target);

// How the server's tokenizer is asked, as its kind of server has it.
enum class TokenizeDialect { kNone, kVllm, kLlamaCpp };

// What the tokenizer said of words that prompts may be made of.
struct Calibration {
  PromptWords words;
  TokenizeDialect dialect = TokenizeDialect::kNone;
  bool exact = false;  // each word is one token, and the overhead is known
  std::string note;    // in a sentence, for the report
};

// Asks POST /tokenize for the words that are one token each. A server without it gets the default
// words and a note. Error: kIo when the server cannot be reached.
Result<Calibration> calibrate(http::Client& client, const Target& target);

// Tokens of a prompt as the server counts them in `usage`; nothing when it does not tell.
std::optional<int64_t> count_tokens(http::Client& client, const Target& target,
                                    TokenizeDialect dialect, const std::string& prompt);

// Counts some of the workload's prompts by the server and says in a sentence how long prompts are.
std::string check_prompts(http::Client& client, const Target& target, const Workload& workload,
                          const Calibration& calibration);

}  // namespace weir::bench
