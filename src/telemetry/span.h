// A span as OpenTelemetry knows it, and the W3C header that links spans over processes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace weir::telemetry {

struct TraceContext {
  std::array<uint8_t, 16> trace_id{};  // not all zero when valid
  std::array<uint8_t, 8> span_id{};    // likewise
  bool sampled = true;

  bool valid() const;
  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

// Lower-case hexadecimal.
std::string hex(const uint8_t* bytes, size_t size);

// A traceparent header (w3.org/TR/trace-context section 3.2): "00-<32 hex>-<16 hex>-<2 hex>", lower
// case, no spaces; a later version may go on behind another "-". nullopt for anything else,
// version ff and ids of zeros included.
std::optional<TraceContext> parse_traceparent(std::string_view header);
// Version 00.
std::string format_traceparent(const TraceContext& context);

struct Span {
  using Value = std::variant<std::string, int64_t, double, bool, std::vector<std::string>>;
  TraceContext context;                                  // its own
  std::optional<std::array<uint8_t, 8>> parent_span_id;  // in the same trace
  std::string name;                                      // "chat MODEL"
  int64_t start_unix_ns = 0;
  int64_t end_unix_ns = 0;
  std::vector<std::pair<std::string, Value>> attributes;
  std::string error;  // a code of the error table: the span's status is an error; or empty
};

// Takes finished spans. Any thread; never blocks: what does not fit is dropped and counted.
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  virtual void add(Span span) = 0;
};

}  // namespace weir::telemetry
