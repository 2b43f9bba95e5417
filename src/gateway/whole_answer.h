// Whole answers of the kinds that models write (chat completions, completions, responses,
// messages): their text for whoever judges it, their log probabilities, and the same as a stream.
// Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/translate/protocol.h"
#include "text/json.h"

namespace weir::gateway {

struct AnswerContent {
  std::string text;  // of the first choice, without thinking and calls
  // Of its tokens, in nats; nothing where the answer has none.
  std::optional<double> mean_logprob, least_logprob;
};
AnswerContent read_answer_content(const text::Json& answer);

// The body of a request as a cascade's step sends it: whole, not a stream, with log probabilities
// where they are wanted and the route (a path) has them.
std::string whole_request(text::Json body, std::string_view route, bool logprobs);
// Whether the client itself asks for log probabilities.
bool asks_logprobs(const text::Json& body);
// Without log probabilities, for a client that did not ask.
void strip_logprobs(text::Json& answer);

// Whether answers of that path can be played as a stream: chat completions, completions, messages.
bool can_play(std::string_view path);
// The events as they go over the wire, the protocol's last one included. Error kInvalidValue,
// kCorrupt: it is no answer of such a kind.
Result<std::vector<std::string>> play_as_stream(const text::Json& answer, std::string_view body,
                                                std::string_view path, Protocol protocol,
                                                bool include_usage);

}  // namespace weir::gateway
