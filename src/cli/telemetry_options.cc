#include "cli/telemetry_options.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>
#include <utility>

#include "telemetry/scrubber.h"

namespace weir::cli {
namespace {

// A whole number from the environment into `value`, which stays without one.
template <typename T>
Status read_number(const TelemetryFlags::Environment& environment, const char* name, int64_t low,
                   int64_t high, T& value) {
  const char* given = environment(name);
  if (given == nullptr || *given == '\0') return {};
  const std::string_view text(given);
  int64_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc() || end != text.data() + text.size() || number < low || number > high) {
    return make_error(ErrorCode::kUsage, "{} is \"{}\"; it must be a whole number from {} to {}",
                      name, text, low, high);
  }
  value = static_cast<T>(number);
  return {};
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

Result<Pairs> read_pairs(const TelemetryFlags::Environment& environment, const char* name) {
  const char* given = environment(name);
  auto pairs = server::parse_key_values(given == nullptr ? "" : given);
  if (!pairs.ok()) return pairs.error().with_context(name);
  return pairs;
}

Status read_limits(const TelemetryFlags::Environment& environment, server::OtlpConfig& otlp) {
  telemetry::OtlpOptions& o = otlp.options;
  constexpr int64_t kDayMs = 86'400'000;
  WEIR_TRY(read_number(environment, "OTEL_BSP_MAX_QUEUE_SIZE", 1, 1 << 20, o.max_queued_spans));
  WEIR_TRY(
      read_number(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, 1 << 16, o.max_batch_spans));
  o.max_batch_spans = std::min(o.max_batch_spans, o.max_queued_spans);
  WEIR_TRY(read_number(environment, "OTEL_BSP_SCHEDULE_DELAY", 1, kDayMs, o.batch_delay_ms));
  WEIR_TRY(
      read_number(environment, "OTEL_METRIC_EXPORT_INTERVAL", 1, kDayMs, o.metrics_interval_ms));
  int64_t timeout_ms = otlp.timeout.count();
  WEIR_TRY(read_number(environment, "OTEL_EXPORTER_OTLP_TIMEOUT", 1, kDayMs, timeout_ms));
  otlp.timeout = std::chrono::milliseconds(timeout_ms);
  return {};
}

Status read_otel(const TelemetryFlags::Environment& environment, const std::string& flag,
                 const std::string& model, server::OtlpConfig& otlp) {
  const auto value = [&](const char* name) {
    const char* given = environment(name);
    return std::string(given == nullptr ? "" : given);
  };
  otlp.endpoint = flag.empty() ? value("OTEL_EXPORTER_OTLP_ENDPOINT") : flag;
  if (value("OTEL_SDK_DISABLED") == "true") otlp.endpoint.clear();
  if (otlp.endpoint.empty()) return {};
  WEIR_TRY(read_limits(environment, otlp));
  WEIR_ASSIGN(const Pairs headers, read_pairs(environment, "OTEL_EXPORTER_OTLP_HEADERS"));
  for (const auto& [name, text] : headers) otlp.headers.set(name, text);
  WEIR_ASSIGN(Pairs resource, read_pairs(environment, "OTEL_RESOURCE_ATTRIBUTES"));
  const std::string service = value("OTEL_SERVICE_NAME");
  std::erase_if(resource,
                [&](const auto& p) { return p.first == "service.name" && !service.empty(); });
  const bool named = std::any_of(resource.begin(), resource.end(),
                                 [](const auto& p) { return p.first == "service.name"; });
  if (!named) resource.emplace_back("service.name", service.empty() ? "weir" : service);
  resource.emplace_back("weir.model", model);
  otlp.options.resource = std::move(resource);
  return {};
}

}  // namespace

Result<telemetry::LogOptions> TelemetryFlags::log_options() const {
  telemetry::LogOptions options;
  WEIR_ASSIGN(options.level, telemetry::parse_log_level(log_level));
  options.format = log_format == "json" ? telemetry::LogFormat::kJson : telemetry::LogFormat::kText;
  return options;
}

Status TelemetryFlags::apply(const Environment& environment, const std::string& model,
                             server::ServerConfig& config) const {
  WEIR_ASSIGN(telemetry::Scrubber scrubber, telemetry::Scrubber::make(scrub_patterns));
  config.log_content = log_content;
  // shared: the configuration is copied, the compiled patterns are not.
  if (!no_scrub) config.scrubber = std::make_shared<telemetry::Scrubber>(std::move(scrubber));
  return read_otel(environment, otlp_endpoint, model, config.otlp);
}

}  // namespace weir::cli
