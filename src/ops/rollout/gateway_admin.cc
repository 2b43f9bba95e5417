#include "ops/rollout/gateway_admin.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "http/client.h"
#include "http/url.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr size_t kMaxReleases = 1000;
constexpr std::chrono::milliseconds kTimeout{10'000};

Error bad(std::string_view what) {
  return make_error(ErrorCode::kCorrupt, "the gateway's answer: {}", what);
}

Result<BurnReading> reading_of(const Json& json) {
  const Json* requests = json.find("requests");
  const Json* burn = json.find("burn_rate");
  if (requests == nullptr || !requests->is_int() || requests->as_int() < 0)
    return bad("requests must be a whole number");
  if (burn == nullptr || !(burn->is_null() || burn->is_number()) ||
      (burn->is_number() && !(burn->as_double() >= 0)))
    return bad("burn_rate must be a number of at least 0, or null");
  BurnReading out;
  out.requests = requests->as_int();
  if (burn->is_number()) out.burn_rate = burn->as_double();
  return out;
}

class HttpGatewayAdmin final : public GatewayAdmin {
 public:
  HttpGatewayAdmin(http::Url url, std::string token, std::unique_ptr<http::Client> client)
      : url_(std::move(url)), token_(std::move(token)), client_(std::move(client)) {}

  Result<GatewayState> state(double window_s) override {
    WEIR_ASSIGN(const std::string body,
                ask("GET", fmt::format("/admin/rollout?window_s={:g}", window_s), ""));
    return parse_gateway_state(body);
  }
  Status set_weights(const RolloutWeights& weights) override {
    WEIR_TRY(ask("PUT", "/admin/rollout/weights", weights_json(weights)));
    return {};
  }

 private:
  Result<std::string> ask(const std::string& method, const std::string& target, std::string body) {
    http::ClientRequest request;
    request.url = url_;
    request.method = method;
    request.target = target;
    request.body = std::move(body);
    request.timeouts.total = kTimeout;
    request.replay_stale = true;  // both may run twice
    if (!token_.empty()) request.headers.add("Authorization", "Bearer " + token_);
    if (!request.body.empty()) request.headers.add("Content-Type", "application/json");
    auto answer = http::fetch(*client_, std::move(request));
    if (!answer.ok()) return answer.error().with_context("the gateway");
    if (answer->status == 200 || answer->status == 204) return std::move(answer->body);
    return make_error(ErrorCode::kIo, "the gateway answers {} to {} {}", answer->status, method,
                      target);
  }

  http::Url url_;
  std::string token_;
  std::unique_ptr<http::Client> client_;
};

}  // namespace

Result<GatewayState> parse_gateway_state(std::string_view json) {
  if (json.size() > (1 << 20)) return bad("over 1 MiB");
  auto document = Json::parse(json, {.max_depth = 8, .max_values = 16 * kMaxReleases});
  if (!document.ok()) return bad(document.error().message);
  const Json* weights = document->find("weights");
  const Json* releases = document->find("releases");
  if (weights == nullptr || !weights->is_object() || releases == nullptr ||
      !releases->is_object() || weights->size() > kMaxReleases || releases->size() > kMaxReleases)
    return bad("weights and releases must be objects");
  GatewayState out;
  int64_t sum = 0;
  for (const auto& [name, value] : weights->members()) {
    if (!value.is_int() || value.as_int() < 0 || value.as_int() > 100)
      return bad(fmt::format("the weight of {} must be a whole per cent", name));
    out.weights[name] = static_cast<int>(value.as_int());
    sum += value.as_int();
  }
  if (sum != 100) return bad(fmt::format("weights make {} in place of 100", sum));
  for (const auto& [name, value] : releases->members()) {
    WEIR_ASSIGN(const BurnReading reading, reading_of(value));
    out.releases[name] = reading;
  }
  return out;
}

std::string weights_json(const RolloutWeights& weights) {
  Json list = Json::object();
  for (const auto& [name, weight] : weights) list.set(name, weight);
  Json j = Json::object();
  j.set("weights", std::move(list));
  return j.dump();
}

Result<std::unique_ptr<GatewayAdmin>> http_gateway_admin(const std::string& url,
                                                         const std::string& token) {
  WEIR_ASSIGN(http::Url parsed, http::parse_url(url));
  http::ClientOptions options;
  options.response.body_bytes = 1 << 20;
  WEIR_ASSIGN(std::unique_ptr<http::Client> client, http::Client::start(options));
  return std::unique_ptr<GatewayAdmin>(
      std::make_unique<HttpGatewayAdmin>(std::move(parsed), token, std::move(client)));
}

}  // namespace weir::ops
