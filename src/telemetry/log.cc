#include "telemetry/log.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>

#include "telemetry/json_writer.h"

namespace weir::telemetry {
namespace {

// Writes to a borrowed FILE*; spdlog's own sinks know only stdout, stderr and names.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FileSink(std::FILE* file) : file_(file) {}
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (torn_) std::fputc('\n', file_);  // behind what there was room for of the last one
    const size_t written = std::fwrite(line.data(), 1, line.size(), file_);
    torn_ = written > 0 && written < line.size();
    if (written < line.size() || std::fflush(file_) != 0)
      lost_.fetch_add(1, std::memory_order_relaxed);
  }
  void flush_() override { std::fflush(file_); }

 private:
  std::FILE* file_;
  bool torn_ = false;
  std::atomic<uint64_t> lost_{0};
};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      return "off";
  }
  return "info";
}

// Cuts at kMaxValueBytes, not inside a UTF-8 sequence.
std::string_view cut(std::string_view text) {
  if (text.size() <= Logger::kMaxValueBytes) return text;
  size_t end = Logger::kMaxValueBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

// The code of the first character, of `length` bytes, if some reader takes it for a command or for
// the end of a line: C0 and C1 controls (U+009B alone begins a terminal's sequence), U+2028 and
// U+2029, and what turns the direction of writing.
std::optional<uint32_t> command_code(std::string_view text, size_t length) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto only_if = [](bool is, uint32_t code) {
    return is ? std::optional<uint32_t>(code) : std::nullopt;
  };
  if (length == 1) return only_if(at(0) < 0x20 || at(0) == 0x7F, at(0));
  if (length == 2) return only_if(at(0) == 0xC2 && at(1) < 0xA0, at(1));
  if (length != 3 || at(0) != 0xE2) return std::nullopt;
  const uint32_t code = 0x2000U | ((at(1) & 0x3FU) << 6) | (at(2) & 0x3FU);
  const bool separates = code == 0x2028 || code == 0x2029;
  const bool turns = (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
  return only_if(separates || turns, code);
}

void append_escaped(std::string& out, std::string_view text) {
  text = cut(text);
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else if (text[0] == '"' || text[0] == '\\') {
      out += '\\';
      out += text[0];
    } else if (const auto code = command_code(text, length); code.has_value()) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", *code);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

bool is_bare(std::string_view text) {
  if (text.empty() || text.size() > Logger::kMaxValueBytes) return false;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= 0x20 || u >= 0x7F || c == '"' || c == '\\' || c == '=') return false;
  }
  return true;
}

void append_value(std::string& out, const LogField& field, bool json) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    if (!json && is_bare(*text)) {
      out += *text;
    } else {
      append_quoted(out, *text);
    }
  } else if (const auto* number = std::get_if<double>(&field.value)) {
    if (json && !std::isfinite(*number)) {
      append_quoted(out, fmt::format("{}", *number));
    } else {
      fmt::format_to(std::back_inserter(out), "{:.9g}", *number);
    }
  } else if (const auto* flag = std::get_if<bool>(&field.value)) {
    out += *flag ? "true" : "false";
  } else if (const auto* whole = std::get_if<int64_t>(&field.value)) {
    fmt::format_to(std::back_inserter(out), "{}", *whole);
  } else if (const auto* natural = std::get_if<uint64_t>(&field.value)) {
    fmt::format_to(std::back_inserter(out), "{}", *natural);
  }
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view name) {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError, LogLevel::kOff}) {
    if (level_name(level) == name) return level;
  }
  return make_error(ErrorCode::kUsage, "unknown log level \"{}\"; known: debug info warn error off",
                    name);
}

struct Logger::Impl {
  Impl(LogOptions o)  // NOLINT
      : options(o), sink(std::make_shared<FileSink>(o.file)), logger("weir", sink) {
    logger.set_level(to_spdlog(options.level));
    const char* pattern = options.format == LogFormat::kJson
                              ? "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",%v}"
                              : "%Y-%m-%dT%H:%M:%S.%eZ %v";
    logger.set_formatter(
        std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
  }
  LogOptions options;
  std::shared_ptr<FileSink> sink;  // shared with the logger, as spdlog has it
  spdlog::logger logger;
};

Logger::Logger(LogOptions options) : impl_(std::make_unique<Impl>(options)) {}
Logger::~Logger() = default;

bool Logger::enabled(LogLevel level) const {
  return level != LogLevel::kOff && impl_->logger.should_log(to_spdlog(level));
}

uint64_t Logger::lost() const { return impl_->sink->lost(); }

void Logger::set_level(LogLevel level) { impl_->logger.set_level(to_spdlog(level)); }

void Logger::log_all(LogLevel level, std::string_view event, std::span<const LogField> fields) {
  if (!enabled(level)) return;
  const bool json = impl_->options.format == LogFormat::kJson;
  std::string line;
  if (json) {
    line += "\"level\":";
    append_quoted(line, level_name(level));
    line += ",\"event\":";
    append_quoted(line, event);
  } else {
    line += level_name(level);
    line += ' ';
    append_escaped(line, event);
  }
  for (const LogField& field : fields) {
    line += json ? "," : " ";
    if (json) {
      append_quoted(line, field.key);
    } else {
      append_escaped(line, field.key);
    }
    line += json ? ":" : "=";
    append_value(line, field, json);
  }
  impl_->logger.log(to_spdlog(level), spdlog::string_view_t(line));
}

}  // namespace weir::telemetry
