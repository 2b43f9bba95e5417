#include "gateway/prober.h"

#include <chrono>

namespace weir::gateway {

std::string_view health_path(std::string_view engine) {
  if (engine == "weir") return "/ready";
  if (engine == "trtllm") return "/health";
  if (engine == "vllm" || engine == "sglang" || engine == "llamacpp" || engine == "dynamo")
    return "/health";
  return "";
}

class Prober::Probe final : public http::ResponseHandler {
 public:
  Probe(Prober& prober, Endpoint& endpoint) : prober_(prober), endpoint_(endpoint) {}
  void on_head(const http::Response& head) override { status_ = head.status; }
  void on_end(const http::Failure* failure) override {
    if (failure != nullptr && failure->kind == http::FailureKind::kStopped) return;
    const bool good = failure == nullptr && status_ >= 200 && status_ < 300;
    prober_.on_result(endpoint_, good,
                      failure != nullptr ? failure->message : fmt::format("status {}", status_));
  }

 private:
  Prober& prober_;
  Endpoint& endpoint_;
  int status_ = 0;
};

void Prober::start() {
  proxy_.client().post([this] {  // the fleet is that thread's
    for (Endpoint& e : proxy_.fleet().endpoints()) {
      const HealthConfig& h = e.upstream->health;
      if (h.path == "none" || (h.path.empty() && health_path(e.upstream->engine).empty())) continue;
      later(e, 0.5 * random_unit(proxy_.draw(), 1, 0));
    }
  });
}

void Prober::later(Endpoint& endpoint, double share) {
  const auto wait = std::chrono::milliseconds(
      static_cast<int64_t>(static_cast<double>(endpoint.upstream->health.interval_ms) * share));
  proxy_.client().post_at(std::chrono::steady_clock::now() + wait,
                          [this, &endpoint] { probe(endpoint); });
}

void Prober::probe(Endpoint& endpoint) {
  const HealthConfig& h = endpoint.upstream->health;
  http::ClientRequest r;
  r.url = endpoint.config->to;
  r.tls = endpoint.tls;
  r.target = h.path.empty() ? std::string(health_path(endpoint.upstream->engine)) : h.path;
  r.timeouts.connect = r.timeouts.first_byte = r.timeouts.total =
      std::chrono::milliseconds(h.timeout_ms);
  r.replay_stale = true;
  proxy_.client().send(std::move(r), std::make_unique<Probe>(*this, endpoint));
}

void Prober::on_result(Endpoint& endpoint, bool good, std::string_view why) {
  if (Fleet::on_probe(endpoint, good)) {
    proxy_.instruments().endpoints_up.find(endpoint.upstream->name)->second.add(good ? 1 : -1);
    proxy_.log().log(
        good ? telemetry::LogLevel::kInfo : telemetry::LogLevel::kWarn,
        good ? "endpoint_up" : "endpoint_down",
        {{"upstream", endpoint.upstream->name}, {"endpoint", endpoint.config->url}, {"why", why}});
  }
  later(endpoint, 0.9 + 0.2 * random_unit(proxy_.draw(), 1, 0));
}

}  // namespace weir::gateway
