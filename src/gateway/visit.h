// One client's request: what has to be known and decided before the fleet is asked, and what
// becomes of the answer on its way back. Internal to gateway/; on the proxy's thread.
//
//   read (model, tenant's limits, deadline) ─► Call ─► the client
//
// Kept by its call, which tells it the answer, and by whatever it waits for.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/answer_sink.h"
#include "gateway/asking.h"
#include "gateway/call.h"
#include "gateway/proxy.h"
#include "http/message.h"
#include "http/response_writer.h"

namespace weir::gateway {

class Visit final : public AnswerSink, public std::enable_shared_from_this<Visit> {
 public:
  // place: of its tenant; null when nobody needs a key.
  Visit(Proxy& proxy, http::Request request, http::ResponseWriter writer,
        std::unique_ptr<Place> place);
  ~Visit() override;
  // Reads the request and asks for an answer, or says why not.
  void begin();

  void hold(const http::Headers& head, int64_t keep_alive_ms) override;
  void answer(http::Response response) override;
  void begin_stream(http::Headers headers) override;
  bool piece(std::string_view events) override;
  void ended(CallEnd end) override;

 private:
  Status read();
  void ask();
  void refuse(const Error& error);
  void on_client_gone();
  void send_answer();
  void over(std::string_view how);

  Proxy& proxy_;
  http::ResponseWriter writer_;
  std::unique_ptr<Place> place_;  // null: nobody needs a key
  Asked asked_;                   // given to the call when there is one
  std::shared_ptr<Asking> call_;  // shared with what it waits for; null: not asked yet
  const int64_t received_ns_;
  std::optional<http::Response> answer_;  // not sent yet
  bool streaming_ = false;
  bool over_ = false;
};

}  // namespace weir::gateway
