// Tenants of the keys file and what each takes at present. One thread: the proxy's.
//
// The limits are those of weir serve (access/tenant_limits.h): requests and tokens in a minute,
// requests at a time, tokens of one request, models. The tokens of a prompt are an estimate until
// the upstream says how many there were.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "access/keys_file.h"
#include "access/tenant_limits.h"
#include "base/clock.h"
#include "base/result.h"
#include "gateway/incoming.h"
#include "http/message.h"

namespace weir::gateway {

struct Tenant {
  access::TenantSpec spec;
  access::TenantMeter meter;
};

// A request's place among its tenant's, and the tokens that it may take. Gives back what it did not
// use when it is destroyed.
class Place {
 public:
  Place(const Clock& clock, std::shared_ptr<Tenant> tenant, std::string key_id);
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  // Errors: kModelNotFound for a model that is not the tenant's, kMaxInputTokensExceeded,
  // kMaxOutputTokensExceeded, kRateLimitExceeded.
  Status reserve(const Incoming& incoming);
  // Of the answer, as the upstream counted; without a call the estimate stays.
  void use(int64_t input_tokens, int64_t output_tokens) { used_ = input_tokens + output_tokens; }
  // The gateway refused it before anybody was asked: it takes nothing. status: of the refusal; 4xx,
  // but 429, are for what the request says, and have a limit of their own (TenantMeter::refuse).
  // A second time does nothing.
  void give_back(int status);
  const access::TenantSpec& spec() const { return tenant_->spec; }
  const std::string& key_id() const { return key_id_; }

 private:
  const Clock& clock_;
  const std::shared_ptr<Tenant> tenant_;  // shared: a reload may drop it meanwhile
  const std::string key_id_;
  const int64_t begun_ns_;
  bool given_back_ = false;
  std::optional<access::TenantMeter::Reservation> reservation_;
  std::optional<int64_t> used_;
};

class Tenants {
 public:
  explicit Tenants(const Clock& clock) : clock_(clock) {}
  // From now on these; what was taken stays counted.
  void load(const access::KeysFile& file);
  // Error kRateLimitExceeded. Precondition: the tenant is in the file that was loaded last.
  Result<std::unique_ptr<Place>> begin(const std::string& tenant, const std::string& key_id);

 private:
  const Clock& clock_;
  std::unordered_map<std::string, std::shared_ptr<Tenant>> tenants_;
};

}  // namespace weir::gateway
