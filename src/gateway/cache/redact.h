// Takes what a scrubber finds (addresses, card and phone numbers, keys, configured patterns) out of
// a request before it goes to an upstream, and puts it back into the answer: each value becomes a
// placeholder, "[EMAIL_1]", the same one wherever it stands, and a model that repeats the
// placeholder is heard as if it had repeated the value. A text that already holds such a
// placeholder keeps it as it is.
//
// It is no anonymization: what the scrubber does not find goes out, and what surrounds a value may
// tell who it is of. Pure; one thread.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "telemetry/scrubber.h"
#include "text/json.h"

namespace weir::gateway {

// The values of one request.
class Redaction {
 public:
  static constexpr size_t kMaxValues = 1'000;
  static constexpr size_t kMaxPlaceholderBytes = 16;  // "[PATTERN_1000]"

  // Replaces in place: texts of messages (string content, text parts, names, arguments of tool
  // calls and of function_call), prompt, input and suffix where they are text, the content of
  // prediction, user and the values of metadata. Not looked at, and so sent as it is: what
  // describes tools and schemas (tools, functions, response_format), names of functions, members'
  // names, stop, keys such as prompt_cache_key and safety_identifier, and images, audio and files.
  // All or nothing. Errors: kLimit beyond kMaxValues, and those of Scrubber::find: the request must
  // not go out then.
  static Result<Redaction> redact(text::Json& request, const telemetry::Scrubber& scrubber);

  size_t values() const { return values_.size(); }
  // The value a placeholder stands for; nullptr for what is none.
  const std::string* find(std::string_view placeholder) const;

 private:
  Status collect(const std::string& text);
  Status replace(std::string& text, const telemetry::Scrubber& scrubber);

  std::map<std::string, std::string, std::less<>> values_;        // by placeholder
  std::map<std::string, std::string, std::less<>> placeholders_;  // by value
  std::set<std::string, std::less<>> taken_;                      // that the texts held before
  std::map<std::string, size_t, std::less<>> numbers_;            // the last one of a kind
};

// Puts values back into a text that comes in pieces.
class TextRestorer {
 public:
  // json: the text is JSON source, so that values become parts of its strings.
  TextRestorer(const Redaction& redaction, bool json) : redaction_(&redaction), json_(json) {}
  // What may be shown now: all but the beginning of a placeholder, at most kMaxPlaceholderBytes.
  std::string feed(std::string_view piece);
  // What was held back: the text is over.
  std::string finish();

 private:
  const Redaction* redaction_;
  bool json_;
  std::string held_;
};

// Puts values back into an answer of chat completions or completions: one that is whole, or the
// events of a stream in turn. What an event holds back comes with a later one of the same choice,
// at the latest with its finish_reason.
class AnswerRestorer {
 public:
  explicit AnswerRestorer(const Redaction& redaction) : redaction_(redaction) {}
  void restore_answer(text::Json& answer) const;
  void restore_event(text::Json& event);

 private:
  struct Place {
    int64_t choice = 0;
    int64_t call = -1;  // of a tool call's arguments; -1 with them: of function_call
    std::string member;
    auto operator<=>(const Place&) const =
        default;  // NOLINT(modernize-use-nullptr): misread by clang-tidy 14
  };
  void restore_piece(text::Json& member, const Place& place);
  void flush(text::Json& choice, int64_t index);
  const Redaction& redaction_;  // outlives it
  std::map<Place, TextRestorer> restorers_;
};

// What must not show in any answer, such as the keys that the gateway itself holds. Immutable.
class Secrets {
 public:
  // Those below 8 bytes are left out, since they stand in any text.
  explicit Secrets(std::vector<std::string> all);
  bool shows_in(std::string_view text) const;
  size_t longest_bytes() const { return longest_bytes_; }

 private:
  std::vector<std::string> all_;
  size_t longest_bytes_ = 0;
};

// Whether a key shows in an answer: what the scrubber's rules or patterns take for one, or one of
// the secrets. Before values are put back: the client's own are no leak.
class LeakWatch {
 public:
  static constexpr size_t kOverlapBytes = 512;  // a key that is longer shows by its first part

  // Both outlive it.
  LeakWatch(const telemetry::Scrubber& scrubber, const Secrets& secrets)
      : scrubber_(scrubber), secrets_(secrets) {}
  // The next piece of the text; true from the piece on with which a key is there.
  bool feed(std::string_view piece);

 private:
  const telemetry::Scrubber& scrubber_;
  const Secrets& secrets_;
  std::string tail_;
  bool leaked_ = false;
};

}  // namespace weir::gateway
