// A pool by the EndpointSlices of a Service: listed, then watched from the version of the list; a
// version that is too old (410) is listed anew. What the API said last stays while it cannot be
// asked. kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of changes".
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "gateway/discover/discovery.h"
#include "gateway/discover/endpoint_slices.h"
#include "http/client.h"

namespace weir::gateway {

class KubernetesDiscovery final : public Discovery,
                                  public std::enable_shared_from_this<KubernetesDiscovery> {
 public:
  // tls: whom the API is believed by; null for http. seed: of the pauses after failures. client
  // and clock outlive the discovery. Own it by a shared_ptr.
  KubernetesDiscovery(const KubernetesConfig& config,
                      std::shared_ptr<const http::TlsClientContext> tls, http::Client& client,
                      const Clock& clock, uint64_t seed, DiscoverySink sink);
  void start() override { list(); }
  void stop() override;
  void believe(const std::shared_ptr<const http::TlsClientContext>& tls) override { tls_ = tls; }

 private:
  class Listing;
  class Watching;
  void list();
  void watch();
  // "" when none is configured.
  Result<std::string> token() const;
  Result<http::ClientRequest> request(const std::string& query) const;
  void on_list(Result<std::string> body);
  // False: the watch is of no more use, and what comes next has begun.
  bool on_event(std::string_view line);
  void on_watch_end(const Status& how, bool heard);
  void tell();
  void fail(std::string_view result, const std::string& why);
  void later(int64_t ms, void (KubernetesDiscovery::*what)());

  const KubernetesConfig config_;
  std::shared_ptr<const http::TlsClientContext> tls_;  // shared with kept-alive connections
  http::Client& client_;
  const Clock& clock_;
  const uint64_t seed_;
  const DiscoverySink sink_;
  EndpointSlices slices_;
  int64_t failures_ = 0;  // in a row
  uint64_t draws_ = 0;
  http::Client::RequestId now_ = 0;  // the last request, under way or over; 0: none
};

}  // namespace weir::gateway
