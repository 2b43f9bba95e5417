#include "gateway/prober.h"

#include <algorithm>
#include <chrono>

#include "base/units.h"

namespace weir::gateway {

std::string_view health_path(std::string_view engine) {
  if (engine == "weir") return "/ready";
  if (engine == "vllm" || engine == "sglang" || engine == "trtllm" || engine == "llamacpp" ||
      engine == "dynamo")
    return "/health";
  return "";
}

class Prober::Probe final : public http::ResponseHandler {
 public:
  Probe(Prober& prober, EndpointPtr endpoint) : prober_(prober), endpoint_(std::move(endpoint)) {}
  void on_head(const http::Response& head) override { status_ = head.status; }
  void on_end(const http::Failure* failure) override {
    if (failure != nullptr && failure->kind == http::FailureKind::kStopped) return;
    const bool good = failure == nullptr && status_ >= 200 && status_ < 300;
    prober_.on_result(endpoint_, good,
                      failure != nullptr ? failure->message : fmt::format("status {}", status_));
  }

 private:
  Prober& prober_;
  const EndpointPtr endpoint_;
  int status_ = 0;
};

void Prober::begin(const EndpointPtr& endpoint) {
  const std::string& path = endpoint->upstream->health_path;
  if (path == "none" || (path.empty() && health_path(endpoint->upstream->engine).empty())) return;
  later(endpoint);
}

// Looks again when the check is due, and now and then whether it has become due earlier.
void Prober::later(const EndpointPtr& endpoint) {
  const int64_t now_ns = proxy_.clock().now_ns();
  const int64_t due_ns = std::max<int64_t>(endpoint->guard().health().next_check_ns() - now_ns, 0);
  const int64_t fast_ns = endpoint->upstream->guard.endpoint.health.fast_interval_ms * kNsPerMs;
  proxy_.client().post_at(
      std::chrono::steady_clock::now() + std::chrono::nanoseconds(std::min(due_ns, fast_ns)),
      [this, endpoint] {
        if (endpoint->retired) return;
        const bool due = endpoint->guard().health().next_check_ns() <= proxy_.clock().now_ns();
        due ? probe(endpoint) : later(endpoint);
      });
}

void Prober::probe(const EndpointPtr& endpoint) {
  const UpstreamConfig& u = *endpoint->upstream;
  endpoint->guard().on_check_started();
  http::ClientRequest r;
  r.url = endpoint->config->to;
  r.tls = endpoint->tls;
  r.target = u.health_path.empty() ? std::string(health_path(u.engine)) : u.health_path;
  r.timeouts.connect = r.timeouts.first_byte = r.timeouts.total =
      std::chrono::milliseconds(u.guard.endpoint.health.timeout_ms);
  r.replay_stale = true;
  proxy_.client().send(std::move(r), std::make_unique<Probe>(*this, endpoint));
}

void Prober::on_result(const EndpointPtr& endpoint, bool good, std::string_view why) {
  if (endpoint->retired) return;
  if (endpoint->guard().on_check(good, proxy_.clock().now_ns())) {
    const std::string& name = endpoint->upstream->name;
    proxy_.instruments().endpoints_up.find(name)->second.add(good ? 1 : -1);
    proxy_.log().log(good ? telemetry::LogLevel::kInfo : telemetry::LogLevel::kWarn,
                     good ? "endpoint_up" : "endpoint_down",
                     {{"upstream", name}, {"endpoint", endpoint->config->url}, {"why", why}});
  }
  later(endpoint);
}

}  // namespace weir::gateway
