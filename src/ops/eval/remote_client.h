// Many requests to one server, a bounded number of them at a time, each with a deadline and tried
// again where that makes sense (remote_retry.h). One calling thread, which blocks; I/O runs on a
// thread of its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"
#include "http/message.h"
#include "http/url.h"
#include "ops/eval/remote_request.h"
#include "ops/eval/remote_retry.h"

namespace weir::ops {

struct RemoteServer {
  http::Url url;                               // without /v1
  http::Headers headers;                       // authorization and the like
  std::chrono::milliseconds timeout{600'000};  // of one try
  RetryPolicy retry;
};

// "http://host:port" or with /v1 behind it. api_key: sent as a bearer token; may be empty. Errors:
// those of http::parse_url; kUsage for a key that no header may hold.
Result<RemoteServer> remote_server(const std::string& url, const std::string& api_key);

// The body of the answer to requests[i], as soon as it is there; on the calling thread. An error
// ends the run.
using RemoteDone = std::function<Status(size_t i, const std::string& body)>;

class RemoteClient {
 public:
  // parallel: the most requests at a time of any later call. clock: what dates in Retry-After are
  // held against; outlives the client.
  static Result<RemoteClient> start(RemoteServer server, size_t parallel, const Clock& clock);

  // POSTs all of them, at most at_once at a time; one that waits for its next try counts. Errors,
  // with the item's id: kServerOverloaded where the server could not be reached or took too long or
  // was too busy, after all tries; kInvalidApiKey, kModelNotFound, kInternal, kBadRequest by the
  // status, with what the server said; that of `done`. What was under way is given up.
  Status post_all(std::span<const RemoteRequest> requests, size_t at_once, const RemoteDone& done);

  // One of them.
  Result<std::string> post(const RemoteRequest& request);
  Result<std::string> get(const std::string& path);

  const RemoteServer& server() const { return server_; }

 private:
  RemoteClient(RemoteServer server, std::unique_ptr<http::Client> client, const Clock& clock)
      : server_(std::move(server)), client_(std::move(client)), clock_(&clock) {}
  Result<std::string> one(const std::string& method, const RemoteRequest& request);

  RemoteServer server_;
  std::unique_ptr<http::Client> client_;
  const Clock* clock_;
};

}  // namespace weir::ops
