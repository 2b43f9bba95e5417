#include "gateway/scraper.h"

#include <algorithm>
#include <chrono>

#include "base/units.h"

namespace weir::gateway {
namespace {

std::string_view result_of(const Error& error) {
  if (error.code == ErrorCode::kLimit) return "too_large";
  return error.code == ErrorCode::kUnsupported ? "no_signals" : "malformed";
}

}  // namespace

class Scraper::Scrape final : public http::ResponseHandler {
 public:
  // id: of the request, once it is sent. Shared: the client may end one before send() returns.
  Scrape(Scraper& scraper, EndpointPtr endpoint, std::shared_ptr<http::Client::RequestId> id)
      : scraper_(scraper), endpoint_(std::move(endpoint)), id_(std::move(id)) {}
  void on_head(const http::Response& head) override { status_ = head.status; }
  bool on_body(std::string_view piece) override {
    if (too_large_) return true;
    too_large_ = body_.size() + piece.size() > kMaxMetricsBytes;
    if (too_large_) {
      scraper_.proxy_.client().cancel(*id_);
    } else if (status_ == 200) {
      body_ += piece;
    }
    return true;
  }
  void on_end(const http::Failure* failure) override {
    if (failure != nullptr && failure->kind == http::FailureKind::kStopped) return;
    if (endpoint_->retired) return;
    if (too_large_)
      return scraper_.on_answer(
          endpoint_, "too_large",
          fmt::format("the metrics are more than {} bytes", kMaxMetricsBytes));
    if (failure != nullptr)
      return scraper_.on_answer(endpoint_, http::failure_kind_name(failure->kind),
                                failure->message);
    if (status_ != 200) {
      const std::string status = fmt::format("status_{}", status_);
      return scraper_.on_answer(endpoint_, status, status);
    }
    read();
  }

 private:
  void read() {
    auto said = read_capacity(endpoint_->upstream->engine, body_);
    if (!said.ok()) {
      scraper_.on_answer(endpoint_, result_of(said.error()), said.error().message);
      return;
    }
    endpoint_->report = {*said, scraper_.proxy_.clock().now_ns(), endpoint_->queued_tokens,
                         endpoint_->guard().in_flight()};
    scraper_.on_answer(endpoint_, "good", "");
  }

  Scraper& scraper_;
  const EndpointPtr endpoint_;
  const std::shared_ptr<http::Client::RequestId> id_;
  int status_ = 0;
  bool too_large_ = false;
  std::string body_;
};

void Scraper::begin(const EndpointPtr& endpoint) {
  if (metrics_target(*endpoint->upstream).empty()) return;
  endpoint->asked_since_ns = proxy_.clock().now_ns();
  scrape(endpoint);
}

void Scraper::forget(Endpoint& endpoint) {
  if (!endpoint.stale) return;
  endpoint.stale = false;
  proxy_.instruments().signals_stale.find(endpoint.upstream->name)->second.add(-1);
}

void Scraper::scrape(const EndpointPtr& endpoint) {
  const UpstreamConfig& u = *endpoint->upstream;
  http::ClientRequest r;
  r.url = endpoint->config->to;
  if (u.metrics.port != 0) r.url.port = static_cast<uint16_t>(u.metrics.port);
  r.tls = endpoint->tls;
  r.target = metrics_target(u);
  r.headers.add("Accept", "text/plain;version=0.0.4");
  if (!u.key.empty() && u.metrics.port == 0) r.headers.add("Authorization", "Bearer " + u.key);
  r.timeouts.connect = r.timeouts.first_byte = r.timeouts.total =
      std::chrono::milliseconds(u.metrics.timeout_ms);
  r.replay_stale = true;
  const auto id = std::make_shared<http::Client::RequestId>(0);
  *id = proxy_.client().send(std::move(r), std::make_unique<Scrape>(*this, endpoint, id));
}

// Every endpoint at a time of its own: a tenth of the interval more or less.
void Scraper::later(const EndpointPtr& endpoint) {
  const int64_t interval_ns = endpoint->upstream->metrics.interval_ms * kNsPerMs;
  const double part = 0.9 + 0.2 * static_cast<double>(proxy_.draw() >> 11) * 0x1.0p-53;
  proxy_.client().post_at(
      std::chrono::steady_clock::now() +
          std::chrono::nanoseconds(static_cast<int64_t>(static_cast<double>(interval_ns) * part)),
      [this, endpoint] {
        if (!endpoint->retired) scrape(endpoint);
      });
}

void Scraper::on_answer(const EndpointPtr& endpoint, std::string_view result,
                        std::string_view why) {
  proxy_.instruments().scrapes.find(endpoint->upstream->name)->second.with(result).add();
  judge(*endpoint, why);
  later(endpoint);
}

void Scraper::judge(Endpoint& endpoint, std::string_view why) {
  const int64_t since_ns =
      endpoint.report.has_value() ? endpoint.report->at_ns : endpoint.asked_since_ns;
  const bool stale = proxy_.clock().now_ns() - since_ns > fresh_ns(endpoint.upstream->metrics);
  if (stale == endpoint.stale) return;
  endpoint.stale = stale;
  const std::string& name = endpoint.upstream->name;
  proxy_.instruments().signals_stale.find(name)->second.add(stale ? 1 : -1);
  proxy_.log().log(stale ? telemetry::LogLevel::kWarn : telemetry::LogLevel::kInfo,
                   stale ? "signals_stale" : "signals_fresh",
                   {{"upstream", name}, {"endpoint", endpoint.config->url}, {"why", why}});
}

}  // namespace weir::gateway
