#include "server/otlp.h"

#include <algorithm>
#include <charconv>

namespace weir::server {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

Result<telemetry::OtlpTransport::Answer> HttpOtlpTransport::post(const std::string& path,
                                                                 const std::string& body) {
  WEIR_ASSIGN(const http::Response response, http::post_json(to_, path, body, headers_, timeout_));
  Answer answer{response.status, 0};
  if (const auto after = response.headers.find("retry-after"); after.has_value()) {
    int seconds = 0;
    std::from_chars(after->data(), after->data() + after->size(), seconds);
    answer.retry_after_s = std::max(0, seconds);
  }
  return answer;
}

Result<std::unique_ptr<OtlpPipeline>> OtlpPipeline::start(const OtlpConfig& config,
                                                          const telemetry::Registry& registry,
                                                          const telemetry::OtlpMetrics& own,
                                                          const Clock& clock) {
  WEIR_ASSIGN(http::Endpoint to, http::parse_endpoint(config.endpoint, "4318"));
  return std::make_unique<OtlpPipeline>(
      std::make_unique<HttpOtlpTransport>(std::move(to), config.headers, config.timeout), config,
      registry, own, clock);
}

Result<std::vector<std::pair<std::string, std::string>>> parse_key_values(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> pairs;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    if (trimmed(item).empty()) continue;
    const size_t equals = item.find('=');
    const std::string_view key = trimmed(item.substr(0, equals));
    const auto value = http::percent_decode(
        equals == std::string_view::npos ? "%" : trimmed(item.substr(equals + 1)));
    if (key.empty() || !value.has_value())
      return make_error(ErrorCode::kUsage, "\"{}\" is not key=value, percent-encoded", item);
    pairs.emplace_back(key, *value);
  }
  return pairs;
}

}  // namespace weir::server
