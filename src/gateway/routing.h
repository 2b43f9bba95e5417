// Who answers a request, and how: rules send it to another model, routers choose one by what it
// asks, cascades ask several, shadows get a copy. On the proxy's thread.
//
//   Visit ─► route(): asked.model is the one that answers ─► ask(): a Call, or a Cascade of calls
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "gateway/answer_sink.h"
#include "gateway/asking.h"
#include "gateway/call.h"
#include "gateway/cascade.h"
#include "gateway/route/gie.h"
#include "gateway/route/rules.h"
#include "gateway/shadow.h"
#include "telemetry/metrics.h"
#include "text/json.h"

namespace weir::gateway {

class Routing {
 public:
  // Of one configuration. Both outlive it.
  Routing(Proxy& proxy, const GatewayConfig& config);
  ~Routing();
  Routing(const Routing&) = delete;
  Routing& operator=(const Routing&) = delete;

  // Of its configuration; null: it has none of that name.
  const ModelConfig* model(const std::string& name) const;
  // Sets the model that answers in place of the one that the client named, and what its answer's
  // head tells of that. body: asked.body. Error kInvalidValue: the model cannot do what is asked.
  Status route(Asked& asked, const text::Json& body) const;
  // The request was dealt to a release of a split: one line of the log ("exposure") and a count.
  void expose(const ModelConfig& model, const Dispatcher::Assigned& assigned,
              const RequestView& request, std::string_view request_id) const;
  // Not begun yet.
  std::shared_ptr<Asking> ask(Asked asked, std::shared_ptr<AnswerSink> sink);

 private:
  Status pick(Asked& asked) const;
  void find_destinations() const;
  void choose_by_difficulty(Asked& asked, const text::Json& body) const;

  Proxy& proxy_;
  const GatewayConfig& config_;
  const Rules rules_;
  telemetry::CounterFamily ruled_;  // weir_gateway_rules_total{rule}
  std::map<const ModelConfig*, CascadeKit> cascades_;
  // weir_gateway_difficulty_total{model,to}
  std::map<const ModelConfig*, telemetry::CounterFamily> chosen_;
  // weir_gateway_exposures_total{model,release}
  std::map<const ModelConfig*, telemetry::CounterFamily> exposures_;
  // Of the endpoints whose addresses are IP addresses, as the fleet was at that version.
  mutable Destinations destinations_;
  mutable std::optional<uint64_t> destinations_version_;
  Shadows shadows_;
};

}  // namespace weir::gateway
