#include "http/request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weir::http {
namespace {

constexpr size_t kMaxMethodBytes = 32;
constexpr size_t kMaxLeadingLines =
    2;  // empty lines before a request that old clients send after a body
// What a start line holds beside the target: method, two spaces, "HTTP/1.1".
constexpr size_t kStartLineBytes = kMaxMethodBytes + 10;

}  // namespace

size_t RequestParser::feed(std::string_view bytes) {
  size_t used = 0;
  const bool in_head = phase_ == Phase::kIdle || phase_ == Phase::kHead;
  while (used < bytes.size() && phase_ != Phase::kDone && phase_ != Phase::kError) {
    if (in_head && phase_ == Phase::kBody) break;  // the head has just ended
    if (state_ == State::kFixedBody || state_ == State::kChunkData) {
      take_body(bytes, used);
    } else if (take_line(bytes, used)) {
      on_line();
      line_.clear();
    }
  }
  return used;
}

// Appends to line_ up to the end of the line; true when it is whole.
bool RequestParser::take_line(std::string_view bytes, size_t& used) {
  while (used < bytes.size()) {
    const char c = bytes[used++];
    if (phase_ == Phase::kIdle) phase_ = Phase::kHead;
    ++section_bytes_;
    if (cr_) {
      cr_ = false;
      if (c == '\n') return true;
      fail_bad("a CR that is not followed by LF");
      return false;
    }
    if (c == '\r') {
      cr_ = true;
    } else if (c == '\n') {
      fail_bad("a line that ends in LF alone; HTTP lines end in CRLF");
      return false;
    } else if (!is_text_char(c)) {
      fail_bad(fmt::format("control character 0x{:02x}", static_cast<unsigned char>(c)));
      return false;
    } else {
      line_ += c;
      if (line_too_long()) return false;
    }
  }
  return false;
}

bool RequestParser::line_too_long() {
  switch (state_) {
    case State::kStartLine:
      if (line_.size() == kMaxMethodBytes + 1 && line_.find(' ') == std::string::npos) {
        fail_bad("the start line has no method");
      } else if (line_.size() > limits_.target_bytes + kStartLineBytes ||
                 section_bytes_ > limits_.header_bytes) {
        fail(414, ErrorCode::kTargetTooLong,
             fmt::format("the request target is longer than {} bytes", limits_.target_bytes),
             "target_bytes");
      }
      break;
    case State::kField:
    case State::kTrailer:
      if (section_bytes_ > limits_.header_bytes) {
        fail(431, ErrorCode::kHeadersTooLarge,
             fmt::format("the header fields are longer than {} bytes", limits_.header_bytes),
             "header_bytes");
      }
      break;
    case State::kChunkSize:
      if (line_.size() > limits_.chunk_line_bytes) fail_bad("the chunk header is too long");
      break;
    case State::kChunkEnd:
      fail_bad("a chunk is longer than its size says");
      break;
    case State::kFixedBody:
    case State::kChunkData:
      break;
  }
  return phase_ == Phase::kError;
}

void RequestParser::on_line() {
  switch (state_) {
    case State::kStartLine:
      // RFC 9112 section 2.2: at least one empty line before a request should be ignored.
      if (!line_.empty()) {
        parse_start_line();
      } else if (section_bytes_ > 2 * kMaxLeadingLines) {
        fail_bad("empty lines instead of a request");
      } else {
        phase_ = Phase::kIdle;
      }
      break;
    case State::kField:
      if (line_.empty()) {
        finish_head();
      } else {
        parse_field();
      }
      break;
    case State::kTrailer:
      if (line_.empty()) {
        phase_ = Phase::kDone;
      } else {
        parse_field();
      }
      break;
    case State::kChunkSize:
      parse_chunk_size();
      break;
    case State::kChunkEnd:
      state_ = State::kChunkSize;
      break;
    case State::kFixedBody:
    case State::kChunkData:
      break;
  }
}

void RequestParser::parse_start_line() {
  const std::string_view line = line_;
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return fail_bad("the start line is not \"METHOD target HTTP/1.1\"");
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method) || method.size() > kMaxMethodBytes)
    return fail_bad("the method is not a token");
  if (target.size() > limits_.target_bytes) {
    return fail(414, ErrorCode::kTargetTooLong,
                fmt::format("the request target has {} bytes; the limit is {}", target.size(),
                            limits_.target_bytes),
                "target_bytes");
  }
  if (version == "HTTP/1.1") {
    request_.version = 11;
  } else if (version == "HTTP/1.0") {
    request_.version = 10;
  } else {
    return fail_bad("the start line does not end in HTTP/1.1 or HTTP/1.0");
  }
  const bool visible =
      std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (target.empty() || !visible) {
    return fail_bad("the request target holds a character that must be percent-encoded");
  }
  request_.method = method;
  request_.target = target;
  parse_target();
  state_ = State::kField;
}

// RFC 9112 section 3.2: origin-form, absolute-form, asterisk-form (OPTIONS), authority-form
// (CONNECT).
void RequestParser::parse_target() {
  std::string_view rest = request_.target;
  const bool absolute = rest.size() > 8 && (iequals(rest.substr(0, 7), "http://") ||
                                            iequals(rest.substr(0, 8), "https://"));
  if (absolute) {
    rest.remove_prefix(rest.find("//") + 2);
    const size_t end = rest.find_first_of("/?#");
    if (end == 0 || rest.empty()) return fail_bad("the request target has no host");
    rest = end == std::string_view::npos ? std::string_view("/") : rest.substr(end);
  } else if (rest.front() != '/' && !(rest == "*" && request_.method == "OPTIONS") &&
             request_.method != "CONNECT") {
    return fail_bad("the request target does not begin with '/'");
  }
  rest = rest.substr(0, rest.find('#'));
  const size_t question = rest.find('?');
  request_.path = rest.substr(0, question);
  if (request_.path.empty()) request_.path = "/";
  if (question != std::string_view::npos) request_.query = rest.substr(question + 1);
}

void RequestParser::parse_field() {
  const std::string_view line = line_;
  if (line.front() == ' ' || line.front() == '\t') {
    return fail_bad("a header line that begins with whitespace");
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    return fail_bad("a header line is not \"name: value\"");
  }
  if (state_ == State::kTrailer) return;
  if (request_.headers.all().size() >= limits_.header_fields) {
    return fail(431, ErrorCode::kHeadersTooLarge,
                fmt::format("more than {} header fields", limits_.header_fields), "header_fields");
  }
  request_.headers.add(line.substr(0, colon), trim_blanks(line.substr(colon + 1)));
}

void RequestParser::finish_head() {
  const Headers& headers = request_.headers;
  if (!check_host() || !check_framing()) return;
  if (const auto expect = headers.find("expect")) {
    if (!iequals(*expect, "100-continue")) {
      return fail(417, ErrorCode::kBadRequest, "the only supported expectation is 100-continue");
    }
    expects_continue_ = request_.version == 11 && phase_ == Phase::kBody;
  }
  keep_alive_ = request_.version == 11 ? !headers.has_token("connection", "close")
                                       : headers.has_token("connection", "keep-alive");
}

bool RequestParser::check_host() {
  size_t hosts = 0;
  for (const auto& field : request_.headers.all()) {
    if (!iequals(field.name, "host")) continue;
    ++hosts;
    if (field.value.find_first_of(" \t,/@?#\\\"<>") != std::string::npos) {
      fail_bad("the Host header is not a host");
      return false;
    }
  }
  if (hosts > 1) {
    fail_bad("more than one Host header");
  } else if (hosts == 0 && request_.version == 11 && limits_.require_host) {
    fail_bad("the Host header is missing");
  }
  return phase_ != Phase::kError;
}

// How the body is delimited, RFC 9112 section 6.3.
bool RequestParser::check_framing() {
  const std::string* content_length = nullptr;
  const std::string* transfer_encoding = nullptr;
  for (const auto& field : request_.headers.all()) {
    const bool is_length = iequals(field.name, "content-length");
    if (!is_length && !iequals(field.name, "transfer-encoding")) continue;
    const std::string*& slot = is_length ? content_length : transfer_encoding;
    if (slot != nullptr) {
      fail_bad(fmt::format("more than one {} header",
                           is_length ? "Content-Length" : "Transfer-Encoding"));
      return false;
    }
    slot = &field.value;
  }
  if (transfer_encoding != nullptr) {
    if (content_length != nullptr) {
      fail_bad("Content-Length together with Transfer-Encoding");
    } else if (request_.version != 11) {
      fail_bad("Transfer-Encoding in an HTTP/1.0 request");
    } else if (!iequals(*transfer_encoding, "chunked")) {
      fail_bad("the only supported Transfer-Encoding is chunked");
    } else {
      state_ = State::kChunkSize;
      phase_ = Phase::kBody;
    }
    return phase_ != Phase::kError;
  }
  uint64_t length = 0;
  if (content_length != nullptr && !check_content_length(*content_length, length)) return false;
  remaining_ = length;
  state_ = State::kFixedBody;
  phase_ = length == 0 ? Phase::kDone : Phase::kBody;
  return true;
}

bool RequestParser::check_content_length(std::string_view value, uint64_t& length) {
  if (value.empty() || !std::all_of(value.begin(), value.end(), is_digit)) {
    fail_bad("Content-Length is not a number");
    return false;
  }
  for (const char c : value) {
    length = length * 10 + static_cast<uint64_t>(c - '0');
    if (length > limits_.body_bytes) {
      fail(413, ErrorCode::kBodyTooLarge,
           fmt::format("the request body is larger than {} bytes", limits_.body_bytes),
           "body_bytes");
      return false;
    }
  }
  return true;
}

void RequestParser::parse_chunk_size() {
  const std::string_view line = line_;
  size_t digits = 0;
  uint64_t size = 0;
  while (digits < line.size() && hex_digit(line[digits]) >= 0) {
    if (digits == 16) return fail_bad("a chunk size of more than 16 digits");
    size = size * 16 + static_cast<uint64_t>(hex_digit(line[digits++]));
  }
  if (digits == 0 || !valid_chunk_extensions(line.substr(digits))) {
    return fail_bad("a chunk header is not \"size;extension\"");
  }
  if (size == 0) {
    state_ = State::kTrailer;
    section_bytes_ = 0;
    return;
  }
  if (size > limits_.body_bytes - request_.body.size()) {
    return fail(413, ErrorCode::kBodyTooLarge,
                fmt::format("the request body is larger than {} bytes", limits_.body_bytes),
                "body_bytes");
  }
  remaining_ = size;
  state_ = State::kChunkData;
}

void RequestParser::take_body(std::string_view bytes, size_t& used) {
  const size_t n = static_cast<size_t>(std::min<uint64_t>(remaining_, bytes.size() - used));
  request_.body.append(bytes.substr(used, n));
  used += n;
  remaining_ -= n;
  if (remaining_ > 0) return;
  if (state_ == State::kFixedBody) {
    phase_ = Phase::kDone;
  } else {
    state_ = State::kChunkEnd;
  }
}

void RequestParser::fail(int status, ErrorCode code, std::string message, std::string_view limit) {
  phase_ = Phase::kError;
  status_ = status;
  error_ = Error{code, std::move(message), {}, 0.0};
  limit_ = limit;
}

}  // namespace weir::http
