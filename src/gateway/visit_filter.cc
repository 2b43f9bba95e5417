// What a visit changes in the request before it goes out, and watches in the answer.
#include "gateway/config_names.h"
#include "gateway/upstream_error.h"
#include "gateway/visit.h"

namespace weir::gateway {
namespace {

bool is_chat(std::string_view path) { return path == "/v1/chat/completions"; }

// Where redaction finds every text of a request and puts it back into the answer.
bool can_redact(std::string_view path) {
  return is_chat(path) || path == "/v1/completions" || path == "/v1/embeddings";
}

Status check_messages(const text::Json& messages) {
  for (size_t i = 0; i < messages.items().size(); ++i) {
    const text::Json& m = messages.items()[i];
    const text::Json* role = m.is_object() ? m.find("role") : nullptr;
    if (role == nullptr || !role->is_string())
      return param_error(ErrorCode::kInvalidValue, fmt::format("messages[{}]", i),
                         "messages[{}] must be an object with a role", i);
  }
  return {};
}

}  // namespace

Status Visit::prepare() {
  const ModelConfig& model = *asked_.model;
  Instruments& i = proxy_.instruments();
  bool changed = false;
  if (model.prompt_budget.max_input_tokens > 0) {
    const text::Json* messages = json_->find("messages");
    const bool chat = messages != nullptr && messages->is_array() && is_chat(asked_.path);
    if (chat) {
      WEIR_TRY(check_messages(*messages));
      WEIR_ASSIGN(PromptBudgetResult fitted, apply_prompt_budget(*messages, model.prompt_budget));
      if (fitted.changed) {
        extra_.set(std::string(kPromptBudgetField), fitted.header());
        i.prompt_budget.with(name_of(fitted.action)).add();
        json_->set("messages", std::move(fitted.messages));
        asked_.incoming.input_tokens = fitted.tokens_after;
        changed = true;
      }
    } else if (asked_.incoming.input_tokens > model.prompt_budget.max_input_tokens) {
      return make_error(ErrorCode::kMaxInputTokensExceeded,
                        "the prompt has about {} tokens; this model takes at most {}",
                        asked_.incoming.input_tokens, model.prompt_budget.max_input_tokens);
    }
  }
  std::unique_ptr<Redaction> redaction;
  if (model.redact) {
    if (!can_redact(asked_.path))
      return param_error(ErrorCode::kInvalidValue, "model",
                         "prompts for this model are redacted, which {} does not allow; ask "
                         "through /v1/chat/completions",
                         asked_.path);
    WEIR_ASSIGN(Redaction found, Redaction::redact(*json_, *asked_.config->redactor));
    if (found.values() > 0) {
      i.redacted.add(static_cast<double>(found.values()));
      redaction = std::make_unique<Redaction>(std::move(found));
      changed = true;
    }
  }
  if (changed) asked_.body = json_->dump();
  const bool watches = model.leak_check != LeakCheck::kOff;
  if (redaction != nullptr || watches)
    filter_.emplace(std::move(redaction), watches ? asked_.config->redactor.get() : nullptr,
                    watches ? proxy_.secrets() : nullptr);
  return {};
}

void Visit::tell_leak() {
  proxy_.instruments().leaks.add();
  proxy_.log().warn("key_in_answer", {{"request_id", writer_.request_id()},
                                      {"model", asked_.model->name},
                                      {"tenant", place_ != nullptr ? place_->spec().name : ""}});
  if (asked_.model->leak_check == LeakCheck::kBlock) stopped_by_ = kAnswerWithheld;
}

}  // namespace weir::gateway
