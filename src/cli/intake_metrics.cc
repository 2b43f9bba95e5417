#include "cli/intake_metrics.h"

#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "http/client.h"
#include "ops/intake/read_metrics.h"
#include "text/prometheus_text.h"

namespace weir::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kTimeout{20'000};

// "10s", "500ms", "2m"; from 100 ms to an hour.
Result<milliseconds> read_window(std::string_view text) {
  double n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  const double ms = unit == "ms" ? n : unit == "s" ? n * 1000 : unit == "m" ? n * 60'000 : -1;
  if (error != std::errc() || !(ms >= 100 && ms <= 3'600'000)) {
    return make_error(ErrorCode::kUsage,
                      "--window must be a time from 100ms to 60m, such as 10s, not \"{}\"", text);
  }
  return milliseconds(static_cast<int64_t>(ms));
}

Result<ops::Scrape> scrape(http::Client& client, const http::Url& url) {
  http::ClientRequest request;
  request.url = url;
  request.url.path = "";
  request.target = url.path.empty() ? "/metrics" : url.path;
  request.headers.add("Accept", "text/plain;version=0.0.4");
  request.timeouts.first_byte = request.timeouts.idle = request.timeouts.total = kTimeout;
  request.replay_stale = true;
  const std::string target = request.target;
  const Result<http::Response> response = http::fetch(client, std::move(request));
  if (!response.ok())
    return make_error(ErrorCode::kServerOverloaded, "{}{}: {}", url.authority(), target,
                      response.error().message);
  if (response->status != 200) {
    return make_error(ErrorCode::kServerOverloaded,
                      "{}{} answered {}; metrics may have to be turned on (llama-server --metrics, "
                      "SGLang --enable-metrics) or stand at another path",
                      url.authority(), target, response->status);
  }
  const size_t first = response->body.find_first_not_of(" \t\r\n");
  if (first != std::string::npos &&
      (response->body[first] == '[' || response->body[first] == '{')) {
    return make_error(ErrorCode::kCorrupt,
                      "{}{} is JSON, not Prometheus' text; trtllm-serve has that at "
                      "/prometheus/metrics",
                      url.authority(), target);
  }
  ops::Scrape out;
  out.at_s = std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
  auto samples = text::parse_prometheus(response->body);
  if (!samples.ok()) return samples.error().with_context(url.authority() + target);
  out.samples = std::move(*samples);
  return out;
}

}  // namespace

Result<ops::Intake> read_metrics_source(const MetricsOptions& options) {
  WEIR_ASSIGN(const http::Url url, http::parse_url(options.url));
  std::optional<milliseconds> window;
  if (!options.window.empty()) {
    WEIR_ASSIGN(window, read_window(options.window));
  }
  http::ClientOptions client_options;
  client_options.response.body_bytes = text::PrometheusLimits{}.text_bytes;
  WEIR_ASSIGN(const std::unique_ptr<http::Client> client, http::Client::start(client_options));
  WEIR_ASSIGN(ops::Scrape now, scrape(*client, url));
  std::optional<ops::Scrape> earlier;
  if (window) {
    fmt::print(stderr, "weir: the second scrape of {} follows in {}\n", url.authority(),
               options.window);
    std::this_thread::sleep_for(*window);
    earlier = std::move(now);
    WEIR_ASSIGN(now, scrape(*client, url));
  }
  auto reading = ops::intake_of_metrics(now, earlier ? &*earlier : nullptr, options.url);
  if (!reading.ok()) return reading.error().with_context(options.url);
  for (const std::string& why : reading->skipped) fmt::print(stderr, "weir: {}\n", why);
  return std::move(reading->intake);
}

}  // namespace weir::cli
