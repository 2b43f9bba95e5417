// Prompts and outputs in the log, for operators who asked for them: event "content".
#pragma once

#include <memory>
#include <string_view>

#include "telemetry/log.h"
#include "telemetry/scrubber.h"

namespace weir::server {

// Any thread. Borrowed logger.
class ContentLog {
 public:
  // scrubber: null writes content as it is.
  ContentLog(telemetry::Logger& log, bool enabled,
             std::shared_ptr<const telemetry::Scrubber> scrubber)
      : log_(log), enabled_(enabled), scrubber_(std::move(scrubber)) {}

  bool enabled() const { return enabled_ && log_.enabled(telemetry::LogLevel::kInfo); }
  // kind: "prompt" or "output". Scrubbed before it is cut, so that no half of a key is left.
  void write(std::string_view request_id, std::string_view kind, std::string_view text) {
    if (!enabled()) return;
    const std::string clean = scrubber_ ? scrubber_->scrub(text) : std::string(text);
    log_.info("content", {{"request_id", request_id}, {"kind", kind}, {"text", clean}});
  }

 private:
  telemetry::Logger& log_;
  const bool enabled_;
  const std::shared_ptr<const telemetry::Scrubber> scrubber_;
};

}  // namespace weir::server
