// Turns the bytes of one answer into what a RequestRecord holds. No I/O; time is a parameter.
#pragma once

#include <string>
#include <string_view>

#include "bench/load/measurement.h"
#include "http/client.h"
#include "http/sse_reader.h"
#include "text/json.h"

namespace weir::bench {

// One answer of /v1/completions or /v1/chat/completions, streamed or whole; errors included.
class AnswerReader {
 public:
  // record outlives the reader. keep_text: collect the answer's text, for the next turn.
  AnswerReader(RequestRecord& record, bool keep_text) : record_(record), keep_text_(keep_text) {}

  void on_head(const http::Response& head);
  void on_body(std::string_view piece, double now_s);
  // The last byte is there, or failure says why not; sets outcome, end_s and counts.
  void on_end(const http::Failure* failure, double now_s);

  const std::string& text() const { return text_; }

 private:
  void on_event(std::string_view data, double now_s);
  void on_choices(const text::Json& choices, double now_s);
  void on_usage(const text::Json& usage);
  void on_piece(std::string_view text, double now_s);
  void on_whole(double now_s);
  void on_refusal();
  void fail(Outcome outcome, std::string_view why);

  RequestRecord& record_;
  bool keep_text_;
  bool sse_ = false;
  bool done_ = false;    // [DONE] was seen
  bool usage_ = false;   // counts come from usage
  bool failed_ = false;  // outcome is set
  double last_s_ = -1;   // of the piece before
  int32_t pieces_ = 0;
  http::SseReader events_;
  std::string body_;  // of an answer that is no stream, bounded
  std::string text_;
};

}  // namespace weir::bench
