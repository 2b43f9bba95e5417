// What is done to an answer between the fleet and the client, where the model is configured so:
// values that redaction took out of the request are put back, and keys that show in it are noticed.
// For chat completions and completions of OpenAI's protocol; of Anthropic's answers keys are
// noticed, nothing is put back. One answer; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/cache/redact.h"
#include "http/sse_reader.h"
#include "text/json.h"

namespace weir::gateway {

class AnswerFilter {
 public:
  // redaction: null puts nothing back. leaks: null looks for no keys, else it and `secrets` say
  // what is one; it outlives this. secrets: shared, since a reload has others; null without leaks.
  AnswerFilter(std::unique_ptr<Redaction> redaction, const telemetry::Scrubber* leaks,
               std::shared_ptr<const Secrets> secrets);

  // Of a whole answer. What is no JSON object stays as it is.
  void whole(std::string& body);
  // Whole events, appended to `out` as they go on.
  void events(std::string_view events, std::string& out);
  // A key has shown. Before values were put back: the client's own are no leak.
  bool leaked() const { return leaked_; }

 private:
  void event(const http::SseEvent& event, std::string& out);
  void look(const text::Json& piece);

  std::unique_ptr<Redaction> redaction_;  // stays where it is: the restorer refers to it
  std::optional<AnswerRestorer> restorer_;
  const telemetry::Scrubber* leaks_;
  const std::shared_ptr<const Secrets> secrets_;
  std::map<int64_t, LeakWatch> watch_;  // by choice: their pieces come in turn
  http::SseReader reader_;
  const bool watches_;
  bool leaked_ = false;
  bool broken_ = false;  // an event was beyond a bound: the rest goes on as it is
};

}  // namespace weir::gateway
