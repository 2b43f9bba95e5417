// A visit whose question may mean the same as one that was answered: it is embedded by a model of
// the gateway's own, and compared (cache/semantic_cache.h).
#include <algorithm>
#include <utility>

#include "gateway/cache/semantic_eval.h"
#include "gateway/visit.h"

namespace weir::gateway {
namespace {

constexpr std::string_view kEmbeddings = "/v1/embeddings";

}  // namespace

// Of the call for an embedding: goes on with the visit, which waits among the answers.
class EmbeddingSink final : public AnswerSink {
 public:
  EmbeddingSink(Proxy& proxy, AnswerStore::Id visit) : proxy_(proxy), visit_(visit) {}
  void answer(http::Response response) override {
    if (response.status != 200) return;
    auto vectors = read_embeddings(response.body, 1);
    if (vectors.ok()) embedding_ = std::move(vectors->front());
  }
  void begin_stream(http::Headers) override {}
  bool piece(std::string_view) override { return true; }
  void ended(CallEnd end) override {
    proxy_.record(std::move(end.row));
    const auto visit = proxy_.answers().take(visit_);
    if (visit == nullptr) return;
    visit->quota_.spend(end.spent);
    visit->on_embedding(std::move(embedding_));
  }

 private:
  Proxy& proxy_;
  const AnswerStore::Id visit_;
  std::optional<std::vector<float>> embedding_;
};

bool Visit::may_mean_the_same() {
  // A prompt that is redacted before it goes out is not embedded as it is either.
  if (proxy_.answers().semantic() == nullptr || !asked_.incoming.generates || asked_.model->redact)
    return false;
  const std::vector<std::string>& tenants = config_->answers.semantic_tenants;
  const bool wanted = std::any_of(tenants.begin(), tenants.end(), [this](const std::string& t) {
    return t == "*" || t == asked_.tenant;
  });
  if (wanted) question_ = semantic_question(*json_);
  return question_.has_value();
}

void Visit::ask_for_embedding() {
  Asked asked;
  asked.config = proxy_.shared_config();
  asked.routing = proxy_.routing();
  asked.path = kEmbeddings;
  asked.body = embeddings_request(config_->answers.semantic_model, {question_->text});
  asked.incoming.model = config_->answers.semantic_model;
  asked.incoming.input_tokens = asked_.incoming.input_tokens;
  asked.incoming.generates = false;
  asked.model = proxy_.model(asked.incoming.model);
  if (asked.model == nullptr) return join_flight();        // another file has no such model
  asked.request_id = writer_.request_id() + "-embedding";  // a request of its own in the ledger
  asked.tenant = asked_.tenant;
  asked.key_id = asked_.key_id;
  asked.deadline = asked_.deadline;
  asked.received_ns = proxy_.clock().now_ns();
  asked.internal = true;
  become(VisitStage::kEmbedding);
  proxy_.answers().wait(id_, self());
  // Held here as well: it may end before begin() returns.
  const auto call = std::make_shared<Call>(proxy_, std::move(asked),
                                           std::make_shared<EmbeddingSink>(proxy_, id_));
  side_call_ = call;
  call->begin();
}

void Visit::on_embedding(std::optional<std::vector<float>> embedding) {
  if (std::exchange(side_call_, nullptr) == nullptr) return;  // its client has left
  become(VisitStage::kOpening);
  if (embedding.has_value()) {
    const auto hit = proxy_.answers().semantic()->find(scope_, question_->context, *embedding,
                                                       proxy_.clock().now_ns());
    if (hit.ok() && hit->has_value()) {
      proxy_.answers().count_cache("semantic");
      extra_.set("x-weir-cache-similarity", fmt::format("{:.4f}", (*hit)->similarity));
      return serve(*(*hit)->answer, "semantic", (*hit)->age_ns);
    }
    if (hit.ok()) embedding_ = std::move(*embedding);
  }
  join_flight();
}

}  // namespace weir::gateway
