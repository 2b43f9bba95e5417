// One client's request on its way through the gateway. Internal to gateway/.
//
//   begin ─► attempt ─► Attempt ─► the answer is good: it goes to the client as it comes ─► over
//               ▲            │
//               └────────────┘ nothing went to the client yet, and another attempt is allowed
//
// Everything runs on the proxy's thread. Shared by its attempts, which the HTTP client owns, and by
// callbacks of its writer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/incoming.h"
#include "gateway/proxy.h"
#include "gateway/upstream_error.h"
#include "http/client.h"
#include "http/response_writer.h"

namespace weir::gateway {

class Attempt;

// Tokens as an upstream counted them.
struct Usage {
  int64_t input_tokens = 0;
  int64_t cached_tokens = 0;  // of these
  int64_t output_tokens = 0;
};

class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(Proxy& proxy, http::Request request, http::ResponseWriter writer,
       std::unique_ptr<Place> place);
  // Reads the request, then makes the first attempt, or answers why not.
  void begin();

 private:
  friend class Attempt;

  void refuse(const Error& error);
  void attempt(const Proxy::Choice& choice);
  http::ClientRequest upstream_request(const Proxy::Choice& choice) const;
  // Milliseconds until the request has to be answered; 0: it is late.
  int64_t left_ms() const;

  // What attempts tell.
  void on_sent();
  void on_first_piece(Attempt& attempt);  // of a stream that may go to the client
  bool on_piece(std::string_view piece);
  void on_end(Attempt& ended, AttemptEnd end);

  bool may_retry(AttemptEnd end) const;
  void answer_whole(Attempt& attempt);
  void note_usage(const Usage& usage);
  void fail(AttemptEnd end, double retry_after_s);
  void end_stream(AttemptEnd end);
  http::Headers client_headers(const Attempt& attempt) const;
  void on_client_gone();
  void over(std::string_view how);

  Proxy& proxy_;
  const http::Request request_;
  http::ResponseWriter writer_;
  std::unique_ptr<Place> place_;  // null: nobody needs a key
  Incoming incoming_;
  const ModelConfig* model_ = nullptr;
  int64_t deadline_ns_ = 0;
  std::vector<const Endpoint*> tried_;
  Attempt* live_ = nullptr;  // owned by the HTTP client
  http::Client::RequestId live_id_ = 0;
  bool sent_ = false;       // one byte of the request went to an upstream
  bool streaming_ = false;  // bytes of an answer went to the client
  bool over_ = false;
  std::string tail_;  // the last bytes of the stream
};

// One try at one endpoint.
class Attempt final : public http::ResponseHandler {
 public:
  Attempt(std::shared_ptr<Call> call, Proxy::Choice choice);
  ~Attempt() override;
  void on_sent() override;
  void on_head(const http::Response& head) override;
  bool on_body(std::string_view piece) override;
  void on_end(const http::Failure* failure) override;

  // The call has no more interest in it.
  void let_go() { wanted_ = false; }
  const http::Response& answer() const { return answer_; }
  http::Response& answer() { return answer_; }
  const Proxy::Choice& choice() const { return choice_; }
  double retry_after_s() const;

 private:
  AttemptEnd end_of(const http::Failure* failure) const;

  std::shared_ptr<Call> call_;  // shared: the call lives as long as somebody may speak to it
  const Proxy::Choice choice_;
  http::Response answer_;  // head, and the body unless it is a stream
  bool stream_ = false;
  bool malformed_ = false;
  bool begun_ = false;
  bool wanted_ = true;
};

}  // namespace weir::gateway
