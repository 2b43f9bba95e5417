// Structured log lines: an event name and fields, as key=value or JSON, to stderr or a given file.
// Passed in, never global. There is no free text and no formatting on purpose: prompts and outputs
// do not belong into a log. A string value is cut at kMaxValueBytes; control characters, line
// separators and direction marks of Unicode are escaped and bytes that are not UTF-8 become U+FFFD,
// so that one event is one line, JSON is JSON, and a terminal is told nothing by who is logged.
//
//   log.info("listening", {{"host", host}, {"port", 8080}});
//   2026-01-02T03:04:05.678Z info listening host=127.0.0.1 port=8080
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace weir::telemetry {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat { kText, kJson };

// "debug", "info", "warn", "error", "off"; kUsage with the known names otherwise.
[[nodiscard]] Result<LogLevel> parse_log_level(std::string_view name);

struct LogField {
  std::string_view key;
  std::variant<std::string_view, int64_t, uint64_t, double, bool> value;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, std::floating_point auto v)
      : key(k), value(static_cast<double>(v)) {}
  LogField(std::string_view k, std::signed_integral auto v)
      : key(k), value(static_cast<int64_t>(v)) {}
  LogField(std::string_view k, std::unsigned_integral auto v)
      : key(k), value(static_cast<uint64_t>(v)) {}
};

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  std::FILE* file = stderr;  // borrowed; must outlive the logger
};

// Any thread.
class Logger {
 public:
  static constexpr size_t kMaxValueBytes = 512;
  explicit Logger(LogOptions options = {});
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  bool enabled(LogLevel level) const;
  void set_level(LogLevel level);  // of the lines after it
  // Lines that the file did not take: its disk is full, say.
  uint64_t lost() const;
  void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    log_all(level, event, {fields.begin(), fields.size()});
  }
  void log_all(LogLevel level, std::string_view event, std::span<const LogField> fields);
  void debug(std::string_view event, std::initializer_list<LogField> f = {}) {
    log(LogLevel::kDebug, event, f);
  }
  void info(std::string_view event, std::initializer_list<LogField> f = {}) {
    log(LogLevel::kInfo, event, f);
  }
  void warn(std::string_view event, std::initializer_list<LogField> f = {}) {
    log(LogLevel::kWarn, event, f);
  }
  void error(std::string_view event, std::initializer_list<LogField> f = {}) {
    log(LogLevel::kError, event, f);
  }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::telemetry
