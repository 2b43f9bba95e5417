// The JSON body of a load request.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/load/prompt_text.h"
#include "bench/load/target.h"
#include "bench/load/workload.h"
#include "ops/trace/dataset.h"

namespace weir::bench {

// What all requests of a run have in common.
struct RequestShape {
  bool stream = true;
  bool ignore_eos = true;  // so that each answer has the length that was asked for
  double temperature = 0;
  std::string extra;  // more members, as `"top_p":0.9,"priority":1`, or ""
};

// What was said in a conversation so far.
struct Exchange {
  std::string user;
  std::string assistant;
};

// The body of the turn after `history`; `text` is the new text of the user. Chat: messages;
// completion: all of it joined by line ends.
std::string request_body(const Target& target, const RequestShape& shape, const Turn& turn,
                         const std::vector<Exchange>& history, const std::string& text);
// The same for a row of a data set of own prompts. Messages become text for a completion:
// their contents, joined by line ends. A prompt becomes one message for a chat.
std::string request_body(const Target& target, const RequestShape& shape, const Turn& turn,
                         const ops::DatasetRow& row);

}  // namespace weir::bench
