// Incremental, strict HTTP/1.x response parser: bytes in, a head and pieces of a body out, no I/O.
//
// Refused, always: what request_parser.h refuses in lines and fields, and bodies whose length two
// readers could see differently: Content-Length that is repeated or not all digits, or beside
// Transfer-Encoding; Transfer-Encoding in HTTP/1.0 or other than one "chunked"; a switch of
// protocols that nobody asked for. Interim answers (1xx) are skipped. A body without either header
// ends with the stream, RFC 9112 section 6.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/message.h"

namespace weir::http {

struct ResponseLimits {
  size_t header_bytes = 32 * 1024;  // status line and fields; also of the trailers
  size_t header_fields = 128;
  size_t chunk_line_bytes = 1024;
  size_t interim_answers = 8;              // 1xx before the answer
  uint64_t body_bytes = 64 * 1024 * 1024;  // decoded
};

class ResponseParser {
 public:
  enum class Phase {
    kIdle,  // no byte of the answer yet
    kHead,
    kBody,
    kDone,   // the answer is whole
    kError,  // error() says why; the connection must close
  };
  using BodySink = std::function<void(std::string_view piece)>;

  // to_head: the answer to a HEAD request, which has no body whatever its fields say.
  explicit ResponseParser(ResponseLimits limits, bool to_head = false)
      : limits_(limits), to_head_(to_head) {}

  // Takes bytes up to the end of the answer and returns how many it took. Body bytes go to `sink`
  // as they come, unframed. Stops early once, at the end of the head: call again with the rest.
  // Takes nothing when done or failed.
  size_t feed(std::string_view bytes, const BodySink& sink);
  // The stream has ended: ends a body that is delimited by that, else it is an error.
  void finish();

  Phase phase() const { return phase_; }
  // status and headers are whole; true until the end.
  bool head_done() const { return head_done_; }
  // Status and fields once head_done(); the body is not kept.
  const Response& head() const { return head_; }
  // Whether the connection may carry another request once this answer is whole.
  bool keep_alive() const { return keep_alive_; }
  // kBadRequest for broken bytes, kLimit for a bound, which the message names; kIo for an early
  // end.
  const Error& error() const { return error_; }

 private:
  enum class State {
    kStatusLine,
    kField,
    kFixedBody,
    kUntilClose,
    kChunkSize,
    kChunkData,
    kChunkEnd,
    kTrailer
  };

  bool take_line(std::string_view bytes, size_t& used, std::string_view& line);
  size_t line_limit() const;
  void on_line(std::string_view line);
  void parse_status_line(std::string_view line);
  void parse_field(std::string_view line);
  void finish_head();
  void decide_framing();
  void parse_chunk_size(std::string_view line);
  void take_body(std::string_view bytes, size_t& used, const BodySink& sink);
  void fail(ErrorCode code, std::string message);
  void fail_bad(std::string message) { fail(ErrorCode::kBadRequest, std::move(message)); }

  ResponseLimits limits_;
  bool to_head_;
  Phase phase_ = Phase::kIdle;
  State state_ = State::kStatusLine;
  Response head_;
  int version_ = 11;
  bool head_done_ = false;
  bool keep_alive_ = false;
  std::string line_;          // the part of a line that came before
  size_t section_bytes_ = 0;  // of the head, or of the trailers
  size_t interim_ = 0;
  uint64_t remaining_ = 0;  // of the fixed body or of the chunk
  uint64_t body_bytes_ = 0;
  Error error_;
};

}  // namespace weir::http
