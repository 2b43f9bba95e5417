// An answer in its two forms: whole, and as the events of a stream; each made from the other. For
// OpenAI's chat completions and completions.
//
// The cache stores answers whole. A stream becomes whole here, with all that its events carried
// (text, refusals, reasoning, tool calls, log probabilities, usage), and a whole answer is played
// as events again. Answer to stream to answer gives the same answer. Pure; one thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace weir::gateway {

// Puts the events of one stream together.
class StreamAssembler {
 public:
  static constexpr size_t kMaxChoices = 128;
  static constexpr size_t kMaxToolCalls = 128;  // of a choice

  explicit StreamAssembler(size_t max_bytes) : max_bytes_(max_bytes) {}

  // data: of one event, "[DONE]" included. Errors: kInvalidJson; kInvalidValue for an event of
  // another shape, for one that tells of an error and for one behind the end; kLimit beyond
  // max_bytes of events. Nothing may be added then.
  Status add(std::string_view data);
  // The whole answer. Error kInvalidValue: [DONE] has not come, or a choice has no finish_reason:
  // the stream was cut.
  Result<text::Json> finish();

 private:
  Status take(const text::Json& event);
  Status take_choice(const text::Json& piece);

  const size_t max_bytes_;
  size_t bytes_ = 0;
  bool done_ = false;
  bool chat_ = false;
  text::Json answer_;  // without choices; null until the first event
  std::vector<text::Json> choices_;
};

struct ReplayOptions {
  bool include_usage = false;  // stream_options.include_usage of the one who asks
  size_t piece_bytes = 48;     // of text in an event, more or less: about a dozen tokens
};

// The data of each event, in order, the last one "[DONE]". answer: whole, of a 200. Text with log
// probabilities comes in one piece, since only tokens could share them out. Error kInvalidValue:
// no answer of a kind that can stream.
Result<std::vector<std::string>> replay_stream(const text::Json& answer,
                                               const ReplayOptions& options);

}  // namespace weir::gateway
