#include "gateway/answer_refresh.h"

#include <memory>
#include <utility>

#include "gateway/routing.h"
#include "gateway/visit_quota.h"

namespace weir::gateway {
namespace {

class Refresh final : public AnswerSink, public std::enable_shared_from_this<Refresh> {
 public:
  Refresh(Proxy& proxy, KeepAs as, std::shared_ptr<const GatewayConfig> config)
      : proxy_(proxy),
        as_(std::move(as)),
        config_(std::move(config)),
        taken_(config_->answers.cache.max_answer_bytes),
        quota_(proxy.quotas(), *config_) {}

  void begin(Asked asked) {
    if (const Status room = take_place(asked); !room.ok()) return over({});
    // shared: a function wants what can be copied.
    const auto kept = std::make_shared<Asked>(std::move(asked));
    quota_.reserve(*kept, [self = shared_from_this(), kept](const Error* refused) {
      if (refused != nullptr) {
        if (self->place_ != nullptr) self->place_->give_back(429);
        return self->over({});
      }
      const auto routing = kept->routing;
      const auto call = routing->ask(std::move(*kept), self);  // held while it begins
      call->begin();
    });
  }

  void answer(http::Response response) override { taken_.answer(response); }
  void begin_stream(http::Headers headers) override { taken_.begin_stream(headers); }
  bool piece(std::string_view events) override {
    taken_.piece(events);
    return true;
  }
  void ended(CallEnd end) override {
    if (place_ != nullptr && end.computed) place_->use(end.input_tokens, end.output_tokens);
    if (place_ != nullptr && end.unasked()) place_->give_back(503);
    over(std::move(end));
  }

 private:
  Status take_place(const Asked& asked) {
    if (asked.tenant.empty()) return {};  // nobody needs a key
    WEIR_ASSIGN(place_, proxy_.tenants().begin(asked.tenant, asked.key_id));
    Status reserved = place_->reserve(asked.incoming);
    if (!reserved.ok()) place_->give_back(429);
    return reserved;
  }

  void over(CallEnd end) {
    const Hash128 key = as_.key;
    const std::string release = end.row.has_value() ? end.row->release : "";
    if (!proxy_.answers().keep(std::move(as_), taken_, end.good, release, proxy_.clock().now_ns()))
      proxy_.answers().cache()->revalidation_failed(key);
    if (end.row.has_value()) end.row->cache = "miss";
    proxy_.record(std::move(end.row));
    quota_.spend(end.spent);
    quota_.finish();
    place_.reset();
  }

  Proxy& proxy_;
  KeepAs as_;
  const std::shared_ptr<const GatewayConfig> config_;  // that it goes on under
  AnswerRecorder taken_;
  VisitQuota quota_;
  std::unique_ptr<Place> place_;  // null: nobody needs a key, or it has none
};

}  // namespace

void refresh_answer(Proxy& proxy, KeepAs as, Asked asked) {
  auto config = asked.config;
  // Both shared: a function wants what can be copied.
  const auto refresh = std::make_shared<Refresh>(proxy, std::move(as), std::move(config));
  proxy.client().post([refresh, kept = std::make_shared<Asked>(std::move(asked))] {
    refresh->begin(std::move(*kept));
  });
}

}  // namespace weir::gateway
