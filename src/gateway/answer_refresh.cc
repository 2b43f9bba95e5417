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
    // shared: a function wants what can be copied.
    const auto kept = std::make_shared<Asked>(std::move(asked));
    quota_.reserve(*kept, [self = shared_from_this(), kept](const Error* refused) {
      if (refused != nullptr) return self->over({});
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
  void ended(CallEnd end) override { over(std::move(end)); }

 private:
  void over(CallEnd end) {
    const Hash128 key = as_.key;
    const std::string release = end.row.has_value() ? end.row->release : "";
    if (!proxy_.answers().keep(std::move(as_), taken_, end.good, release, proxy_.clock().now_ns()))
      proxy_.answers().cache()->revalidation_failed(key);
    if (end.row.has_value()) end.row->cache = "miss";
    proxy_.record(std::move(end.row));
    quota_.spend(end.spent);
    quota_.finish();
  }

  Proxy& proxy_;
  KeepAs as_;
  const std::shared_ptr<const GatewayConfig> config_;  // that it goes on under
  AnswerRecorder taken_;
  VisitQuota quota_;
};

}  // namespace

void refresh_answer(Proxy& proxy, KeepAs as, Asked asked) {
  auto config = asked.config;
  std::make_shared<Refresh>(proxy, std::move(as), std::move(config))->begin(std::move(asked));
}

}  // namespace weir::gateway
