#include "gateway/tenants.h"

#include <algorithm>
#include <utility>

namespace weir::gateway {
namespace {

// Reserved for an answer whose length nobody has bounded.
constexpr int64_t kUnboundedOutputTokens = 1024;

}  // namespace

Place::Place(const Clock& clock, std::shared_ptr<Tenant> tenant, std::string key_id)
    : clock_(clock),
      tenant_(std::move(tenant)),
      key_id_(std::move(key_id)),
      begun_ns_(clock.now_ns()) {}

Place::~Place() {
  if (reservation_.has_value() && used_.has_value())
    tenant_->meter.reconcile(*reservation_, std::min(*used_, reservation_->tokens),
                             clock_.now_ns());
  tenant_->meter.end();
}

void Place::give_back(int status) {
  use(0, 0);
  if (std::exchange(given_back_, true)) return;
  const int64_t now_ns = clock_.now_ns();
  if (status >= 400 && status < 500 && status != 429) {
    tenant_->meter.refuse(begun_ns_, now_ns);
  } else {
    tenant_->meter.forget(begun_ns_, now_ns);
  }
}

Status Place::reserve(const Incoming& in) {
  const access::TenantSpec& s = tenant_->spec;
  if (!s.may_use(in.model))
    return param_error(ErrorCode::kModelNotFound, "model",
                       "there is no model \"{}\" for this key: GET /v1/models lists them",
                       in.model.substr(0, 100));
  if (in.counts) return {};  // also of a prompt that is too long
  if (s.max_input_tokens > 0 && in.input_tokens > s.max_input_tokens)
    return param_error(ErrorCode::kMaxInputTokensExceeded, "messages",
                       "the prompt has about {} tokens; this key's tenant may send {} "
                       "(max_input_tokens)",
                       in.input_tokens, s.max_input_tokens);
  if (s.max_output_tokens > 0 && in.max_output_tokens > s.max_output_tokens)
    return param_error(ErrorCode::kMaxOutputTokensExceeded, "max_tokens",
                       "max_tokens is {}; this key's tenant may ask for {} (max_output_tokens)",
                       in.max_output_tokens, s.max_output_tokens);
  if (s.tokens_per_min == 0) return {};
  int64_t output = in.max_output_tokens * in.choices;
  if (output == 0 && in.generates) {
    output = s.max_output_tokens > 0 ? s.max_output_tokens : kUnboundedOutputTokens;
    output = std::clamp<int64_t>(s.tokens_per_min - in.input_tokens, 1, output);
  }
  WEIR_ASSIGN(reservation_, tenant_->meter.reserve(in.input_tokens, output, clock_.now_ns()));
  return {};
}

void Tenants::load(const access::KeysFile& file) {
  std::unordered_map<std::string, std::shared_ptr<Tenant>> next;
  for (const access::TenantSpec& spec : file.tenants) {
    const auto found = tenants_.find(spec.name);
    // shared: with the places of its requests.
    auto tenant = found == tenants_.end() ? std::make_shared<Tenant>() : found->second;
    tenant->spec = spec;
    tenant->meter.set_spec(spec);
    next.emplace(spec.name, std::move(tenant));
  }
  tenants_ = std::move(next);
}

Result<std::unique_ptr<Place>> Tenants::begin(const std::string& tenant,
                                              const std::string& key_id) {
  const auto found = tenants_.find(tenant);
  if (found == tenants_.end())
    return make_error(ErrorCode::kInvalidApiKey, "the tenant of this key is gone");
  WEIR_TRY(found->second->meter.begin(clock_.now_ns()));
  return std::make_unique<Place>(clock_, found->second, key_id);
}

}  // namespace weir::gateway
