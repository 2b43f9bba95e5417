// Answers that go to a client of the same protocol as bytes. Of JSON only what is needed is looked
// at: usage, finish reason, text, the places where the model's name stands. Everything that is not
// replaced stays byte for byte.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "gateway/translate/protocol.h"
#include "gateway/translate/stream_observer.h"

namespace weir::gateway::translate {

// The shapes that answers have.
enum class Dialect : uint8_t {
  kChat,         // chat.completion(.chunk)
  kCompletions,  // text_completion
  kResponses,    // /v1/responses
  kMessages,     // Anthropic's
  kOther,        // embeddings, models, …: JSON with a model and a usage at most
};
Dialect dialect_of(Protocol protocol, std::string_view path);

// Replaces text[piece] by `by` for each piece, views into text in ascending order.
std::string replace_pieces(std::string_view text, const std::vector<std::string_view>& pieces,
                           std::string_view by);

// The same with a replacement for each, in any order.
using Pieces = std::vector<std::pair<std::string_view, std::string_view>>;
std::string replace_pieces(std::string_view text, Pieces pieces);

// What looking at one JSON object of an answer found.
struct Sighting {
  std::vector<std::string_view> models;  // values of its model members, quotes included
  // Of OpenAI's chunks: values of these members, "" without.
  std::string_view id;
  std::string_view usage;
  std::string_view role;
  bool usage_only = false;  // a chunk for include_usage: no choices, but a usage
  bool error = false;       // it reports an error in place of an answer
  // Of Anthropic's streams: a block began or ended with this event.
  std::optional<int64_t> block_start;
  std::optional<int64_t> block_stop;
};

// Looks at an event's data or at a whole body and tells the observer. nullopt: no well-formed JSON
// object. Calls counted in `calls`.
std::optional<Sighting> look_at(Dialect dialect, std::string_view json, bool whole,
                                StreamObserver& observer);

// Cuts a stream of server-sent events into events, raw bytes with their blank line.
class RawEvents {
 public:
  struct Event {
    std::string_view raw;
    std::string_view name;
    std::string_view data;     // joined by LF
    bool has_data = false;     // else comments and the like
    bool data_in_raw = false;  // data is a part of raw
  };
  explicit RawEvents(size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}

  void feed(std::string_view bytes);
  // The next whole event; its views live until the next call. False: none. Error: kLimit.
  Result<bool> next(Event& event);

 private:
  void take_line(std::string_view line);

  size_t max_event_bytes_;
  std::string buffer_;
  size_t event_ = 0;  // where the event begins
  size_t line_ = 0;   // where the line begins
  size_t scan_ = 0;   // no line end from line_ to here
  size_t data_lines_ = 0;
  size_t data_at_ = 0;
  size_t data_bytes_ = 0;
  size_t name_at_ = 0;
  size_t name_bytes_ = 0;
  std::string joined_;
};

}  // namespace weir::gateway::translate
