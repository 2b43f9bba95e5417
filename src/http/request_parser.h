// Incremental, strict HTTP/1.x request parser: bytes in, one Request out, no I/O.
//
// Written by hand rather than on Beast's parser, since that one takes what RFC 9112 lets a server
// refuse and we want refused: obs-fold is unfolded, a Transfer-Encoding whose last coding is not
// chunked is read as "no body", trailers are merged into the fields (Boost 1.81, basic_parser.ipp).
// Checking the bytes before handing them over would be a second parser, and two that disagree are
// how requests are smuggled.
//
// Refused, always: bare CR or LF, control characters, obs-fold, whitespace before ':' or at the
// start of a line, any Content-Length that is repeated or not all digits, Transfer-Encoding with
// Content-Length, in HTTP/1.0, or other than one "chunked", chunk sizes over 16 digits, extensions
// that break the grammar, versions other than 1.0 and 1.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/message.h"
#include "http/syntax.h"

namespace weir::http {

struct ParserLimits {
  size_t header_bytes = 32 * 1024;  // also of the trailers
  size_t header_fields = 128;
  size_t target_bytes = 8 * 1024;
  size_t body_bytes = 16 * 1024 * 1024;
  size_t chunk_line_bytes = 1024;
  bool require_host = true;  // of HTTP/1.1, as RFC 9112 section 3.2 demands
};

class RequestParser {
 public:
  enum class Phase {
    kIdle,  // no byte of a request yet
    kHead,
    kBody,
    kDone,   // request() is whole
    kError,  // status() and error() say why; the connection must close
  };

  explicit RequestParser(ParserLimits limits) : limits_(limits) {}

  // Takes bytes up to the end of the request and returns how many it took; the rest belongs to the
  // next request. Stops early once at the end of the head, so that the caller may answer before the
  // body: call again with the rest. Takes nothing when done or failed.
  size_t feed(std::string_view bytes);

  const ParserLimits& limits() const { return limits_; }
  Phase phase() const { return phase_; }
  // Fields and target from kBody on, the body at kDone. Move it out, then make a new parser for the
  // next request.
  Request& request() { return request_; }
  const Request& request() const { return request_; }

  // From kBody on.
  bool keep_alive() const { return keep_alive_; }
  bool expects_continue() const { return expects_continue_; }

  // At kError: what to answer, and the name of the limit in ServerLimits that was hit or "".
  int status() const { return status_; }
  const Error& error() const { return error_; }
  std::string_view limit() const { return limit_; }

 private:
  enum class State { kStartLine, kField, kFixedBody, kChunkSize, kChunkData, kChunkEnd, kTrailer };

  bool take_line(std::string_view bytes, size_t& used);
  bool line_too_long();
  void on_line();
  void parse_start_line();
  void parse_target();
  void parse_field();
  void finish_head();
  bool check_host();
  bool check_framing();
  bool check_content_length(std::string_view value, uint64_t& length);
  void parse_chunk_size();
  void take_body(std::string_view bytes, size_t& used);
  void fail(int status, ErrorCode code, std::string message, std::string_view limit = {});
  void fail_bad(std::string message) { fail(400, ErrorCode::kBadRequest, std::move(message)); }

  ParserLimits limits_;
  Phase phase_ = Phase::kIdle;
  State state_ = State::kStartLine;
  Request request_;
  std::string line_;          // current line without its end
  bool cr_ = false;           // the byte before was CR
  size_t section_bytes_ = 0;  // of the head, or of the trailers
  uint64_t remaining_ = 0;    // of the fixed body or of the chunk
  bool keep_alive_ = false;
  bool expects_continue_ = false;
  int status_ = 0;
  Error error_;
  std::string_view limit_;
};

}  // namespace weir::http
