// One try of a call at one endpoint. Internal to gateway/; on the proxy's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/dispatcher.h"
#include "gateway/translate/translate.h"
#include "http/client.h"

namespace weir::gateway {

class Call;

class UpstreamAttempt final : public http::ResponseHandler {
 public:
  // permit: of the endpoint's pool; given back by on_end with what became of it.
  // number: of the call's attempts, from 1. translator: of the answer; one that has begun when this
  // attempt goes on with another's stream.
  UpstreamAttempt(std::shared_ptr<Call> call, int32_t number, Choice choice, PoolPermit permit,
                  std::unique_ptr<AnswerTranslator> translator);
  ~UpstreamAttempt() override;

  void on_sent() override;
  void on_head(const http::Response& head) override;
  bool on_body(std::string_view piece) override;
  void on_end(const http::Failure* failure) override;

  // The call has no more interest in it; what it says from now on is lost.
  void let_go() { wanted_ = false; }
  void set_deadlines(bool first_byte, bool total) {
    first_byte_by_deadline_ = first_byte;
    total_by_deadline_ = total;
  }

  // Of the request, for x-weir-altered.
  void set_altered(std::string altered) { altered_ = std::move(altered); }
  const std::string& altered() const { return altered_; }
  // Of the request, behind the endpoint's own; for the log.
  void set_path(std::string path) { path_ = std::move(path); }
  const std::string& path() const { return path_; }

  const Choice& choice() const { return choice_; }
  const http::Response& answer() const { return answer_; }
  http::Response& answer() { return answer_; }
  // For whoever goes on with the stream; the last that is asked of it.
  std::unique_ptr<AnswerTranslator> take_translator() { return std::move(translator_); }
  const StreamObserver& observer() const { return translator_->observer(); }
  int32_t number() const { return number_; }
  int64_t started_ns() const { return started_ns_; }
  int64_t answered_ns() const { return answered_ns_; }  // 0: no byte of an answer yet

  http::Client::RequestId id = 0;

 private:
  AttemptOutcome outcome(const http::Failure* failure) const;
  bool ended_by_deadline() const;
  void answered();  // the first byte of an answer that is no error has come
  bool to_client(std::string_view piece);
  Status end_stream();

  std::shared_ptr<Call> call_;  // shared: the call lives as long as somebody may speak to it
  const Choice choice_;
  PoolPermit permit_;
  std::unique_ptr<AnswerTranslator> translator_;
  const int32_t number_;
  const int64_t started_ns_;
  int64_t answered_ns_ = 0;
  std::string altered_;
  std::string path_;
  // Head, and the body unless it is a stream. Status 0: no head came; a Response's own 200 would
  // make every time-out one in the middle of an answer.
  http::Response answer_{.status = 0, .headers = {}, .body = {}};
  std::string out_;      // scratch
  bool stream_ = false;  // events go to the client as they come
  bool malformed_ = false;
  bool answered_ = false;
  bool begun_ = false;  // bytes of it went to the client
  bool wanted_ = true;
  bool first_byte_by_deadline_ = false;
  bool total_by_deadline_ = false;
};

}  // namespace weir::gateway
