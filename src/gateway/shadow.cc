#include "gateway/shadow.h"

#include <memory>
#include <utility>

#include "base/hash.h"
#include "gateway/route/mix.h"
#include "gateway/routing.h"
#include "gateway/whole_sink.h"

namespace weir::gateway {

bool is_sampled(std::string_view request_id, double share, const HashKey& key) {
  return unit_of(keyed_hash(key, std::as_bytes(std::span(request_id))).low) < share;
}

Shadows::Shadows(Proxy& proxy, const GatewayConfig& config) : proxy_(proxy) {
  for (const ModelConfig& m : config.models) {
    if (!m.shadow.has_value()) continue;
    Shadow& s = shadows_[&m];
    s.config = &*m.shadow;
    s.ends = proxy.instruments().registry.counter_family(
        "weir_gateway_shadow_total", "Copies of requests by how they ended, or why none was made",
        "end", {{"model", m.name}});
  }
}

void Shadows::copy(const Asked& asked) {
  const auto found = shadows_.find(asked.model);
  if (found == shadows_.end()) return;
  Shadow& shadow = found->second;
  if (!is_sampled(asked.request_id, shadow.config->sample, proxy_.dispatcher().prompt_key()))
    return;
  if (shadow.in_flight >= shadow.config->max_in_flight) return shadow.ends.with("dropped").add();
  ++shadow.in_flight;
  // Behind what is being done for the client. shared: a function wants what can be copied.
  proxy_.client().post(
      [this, &shadow, kept = std::make_shared<Asked>(asked)] { ask(shadow, std::move(*kept)); });
}

void Shadows::ask(Shadow& shadow, Asked asked) {
  const ModelConfig& model = *asked.routing->model(shadow.config->model);
  asked.model = &model;
  asked.request_id += "-shadow";
  asked.received_ns = proxy_.clock().now_ns();
  asked.deadline = request_deadline(std::nullopt, model.timeouts, asked.received_ns);
  asked.attempts_before = 0;
  asked.assigned.reset();
  asked.internal = true;
  asked.shadow = true;
  asked.tell = {};
  asked.picked.clear();
  const auto call = std::make_shared<Call>(
      proxy_, std::move(asked),
      std::make_shared<WholeSink>([this, &shadow](const http::Response& /*answer*/, CallEnd end) {
        --shadow.in_flight;
        shadow.ends.with(std::string(end.error_code.empty() ? end.how : end.error_code)).add();
        if (end.row.has_value()) end.row->final = false;
        proxy_.record(std::move(end.row));
      }));
  call->begin();
}

}  // namespace weir::gateway
