#include "http/response_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "http/syntax.h"

namespace weir::http {
namespace {
constexpr size_t kMaxChunkDigits = 16;
constexpr int kSwitchingProtocols = 101;
}  // namespace

size_t ResponseParser::feed(std::string_view bytes, const BodySink& sink) {
  size_t used = 0;
  const bool head_before = head_done_;
  while (used < bytes.size() && phase_ != Phase::kDone && phase_ != Phase::kError) {
    if (head_done_ && !head_before) break;
    if (state_ == State::kFixedBody || state_ == State::kChunkData ||
        state_ == State::kUntilClose) {
      take_body(bytes, used, sink);
    } else {
      std::string_view line;
      if (!take_line(bytes, used, line)) break;
      on_line(line);
      line_.clear();
    }
  }
  return used;
}

size_t ResponseParser::line_limit() const {
  if (state_ == State::kChunkSize) return limits_.chunk_line_bytes;
  if (state_ == State::kChunkEnd) return 0;
  return limits_.header_bytes - std::min(limits_.header_bytes, section_bytes_);
}

// A line that lies whole in `bytes` is viewed there; one that came in parts is joined in line_.
bool ResponseParser::take_line(std::string_view bytes, size_t& used, std::string_view& line) {
  if (phase_ == Phase::kIdle) phase_ = Phase::kHead;
  const size_t end = bytes.find('\n', used);
  const bool whole = end != std::string_view::npos;
  const std::string_view part = bytes.substr(used, whole ? end + 1 - used : std::string_view::npos);
  used += part.size();
  line = part;
  if (!line_.empty() || !whole) {
    line_ += part;
    line = line_;
  }
  constexpr size_t kLineEnd = 2;
  if (line.size() > line_limit() + kLineEnd) {
    if (state_ == State::kChunkEnd) {
      fail_bad("a chunk is longer than its size says");
    } else if (state_ == State::kChunkSize) {
      fail_bad("a chunk header is too long");
    } else {
      fail(ErrorCode::kLimit,
           fmt::format("the header fields of the answer are longer than {} bytes",
                       limits_.header_bytes));
    }
    return false;
  }
  if (!whole) return false;
  section_bytes_ += line.size();
  line.remove_suffix(1);
  if (line.empty() || line.back() != '\r') {
    fail_bad("a line that ends in LF alone; HTTP lines end in CRLF");
    return false;
  }
  line.remove_suffix(1);
  if (!is_field_value(line)) {
    fail_bad("a control character in a line");
    return false;
  }
  return true;
}

void ResponseParser::on_line(std::string_view line) {
  switch (state_) {
    case State::kStatusLine:
      parse_status_line(line);
      break;
    case State::kField:
      if (line.empty()) {
        finish_head();
      } else {
        parse_field(line);
      }
      break;
    case State::kTrailer:
      if (line.empty()) {
        phase_ = Phase::kDone;
      } else {
        parse_field(line);
      }
      break;
    case State::kChunkSize:
      parse_chunk_size(line);
      break;
    case State::kChunkEnd:
      if (line.empty()) {
        state_ = State::kChunkSize;
      } else {
        fail_bad("a chunk is longer than its size says");
      }
      break;
    case State::kFixedBody:
    case State::kUntilClose:
    case State::kChunkData:
      break;
  }
}

// HTTP-version SP 3DIGIT SP [ reason-phrase ]; servers without a reason often leave out the last
// space too.
void ResponseParser::parse_status_line(std::string_view line) {
  constexpr size_t kVersionBytes = 8;
  const std::string_view version = line.substr(0, kVersionBytes);
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return fail_bad("the answer does not begin with HTTP/1.1 or HTTP/1.0");
  version_ = version == "HTTP/1.1" ? 11 : 10;
  line.remove_prefix(kVersionBytes);
  const bool digits = line.size() >= 4 && line[0] == ' ' && is_digit(line[1]) &&
                      is_digit(line[2]) && is_digit(line[3]);
  if (!digits || line[1] == '0' || (line.size() > 4 && line[4] != ' '))
    return fail_bad("the status line is not \"HTTP/1.1 status reason\"");
  head_.status = (line[1] - '0') * 100 + (line[2] - '0') * 10 + (line[3] - '0');
  state_ = State::kField;
}

void ResponseParser::parse_field(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t')
    return fail_bad("a header line that begins with whitespace");
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
    return fail_bad("a header line is not \"name: value\"");
  if (state_ == State::kTrailer) return;
  if (head_.headers.all().size() >= limits_.header_fields) {
    return fail(ErrorCode::kLimit,
                fmt::format("the answer has more than {} header fields", limits_.header_fields));
  }
  head_.headers.add(line.substr(0, colon), trim_blanks(line.substr(colon + 1)));
}

void ResponseParser::finish_head() {
  if (head_.status == kSwitchingProtocols)
    return fail_bad("the server switches to another protocol, which was not asked for");
  if (head_.status < 200) {
    if (++interim_ > limits_.interim_answers) {
      return fail(ErrorCode::kLimit,
                  fmt::format("more than {} interim answers", limits_.interim_answers));
    }
    head_ = Response{};
    state_ = State::kStatusLine;
    section_bytes_ = 0;
    return;
  }
  const Headers& headers = head_.headers;
  keep_alive_ = version_ == 11 ? !headers.has_token("connection", "close")
                               : headers.has_token("connection", "keep-alive");
  head_done_ = true;
  phase_ = Phase::kBody;
  decide_framing();
}

// RFC 9112 section 6.3.
void ResponseParser::decide_framing() {
  const std::string* length = nullptr;
  const std::string* encoding = nullptr;
  for (const auto& field : head_.headers.all()) {
    const bool is_length = iequals(field.name, "content-length");
    if (!is_length && !iequals(field.name, "transfer-encoding")) continue;
    const std::string*& slot = is_length ? length : encoding;
    if (slot != nullptr) return fail_bad(fmt::format("more than one {} header", field.name));
    slot = &field.value;
  }
  if (encoding != nullptr && length != nullptr)
    return fail_bad("Content-Length together with Transfer-Encoding");
  if (encoding != nullptr && version_ != 11)
    return fail_bad("Transfer-Encoding in an HTTP/1.0 answer");
  if (encoding != nullptr && !iequals(*encoding, "chunked"))
    return fail_bad("the only supported Transfer-Encoding is chunked");
  if (length != nullptr) {
    if (length->empty() || length->size() > 19 ||
        !std::all_of(length->begin(), length->end(), is_digit))
      return fail_bad("Content-Length is not a number");
    for (const char c : *length) remaining_ = remaining_ * 10 + static_cast<uint64_t>(c - '0');
  }
  if (to_head_ || head_.status == 204 || head_.status == 304) {
    phase_ = Phase::kDone;
  } else if (encoding != nullptr) {
    state_ = State::kChunkSize;
  } else if (length == nullptr) {
    state_ = State::kUntilClose;
    keep_alive_ = false;
  } else if (remaining_ > limits_.body_bytes) {
    fail(ErrorCode::kLimit,
         fmt::format("the answer has {} bytes; the limit is {}", remaining_, limits_.body_bytes));
  } else {
    state_ = State::kFixedBody;
    if (remaining_ == 0) phase_ = Phase::kDone;
  }
}

void ResponseParser::parse_chunk_size(std::string_view line) {
  size_t digits = 0;
  uint64_t size = 0;
  while (digits < line.size() && hex_digit(line[digits]) >= 0) {
    if (digits == kMaxChunkDigits) return fail_bad("a chunk size of more than 16 digits");
    size = size * 16 + static_cast<uint64_t>(hex_digit(line[digits++]));
  }
  if (digits == 0 || !valid_chunk_extensions(line.substr(digits)))
    return fail_bad("a chunk header is not \"size;extension\"");
  if (size == 0) {
    state_ = State::kTrailer;
    section_bytes_ = 0;
    return;
  }
  if (size > limits_.body_bytes - body_bytes_) {
    return fail(ErrorCode::kLimit,
                fmt::format("the answer is larger than {} bytes", limits_.body_bytes));
  }
  remaining_ = size;
  state_ = State::kChunkData;
}

void ResponseParser::take_body(std::string_view bytes, size_t& used, const BodySink& sink) {
  const uint64_t most =
      state_ == State::kUntilClose ? limits_.body_bytes - body_bytes_ : remaining_;
  const size_t n = static_cast<size_t>(std::min<uint64_t>(most, bytes.size() - used));
  if (n == 0) {
    return fail(ErrorCode::kLimit,
                fmt::format("the answer is larger than {} bytes", limits_.body_bytes));
  }
  sink(bytes.substr(used, n));
  used += n;
  body_bytes_ += n;
  if (state_ == State::kUntilClose) return;
  remaining_ -= n;
  if (remaining_ > 0) return;
  if (state_ == State::kFixedBody) {
    phase_ = Phase::kDone;
  } else {
    state_ = State::kChunkEnd;
  }
}

void ResponseParser::finish() {
  if (phase_ == Phase::kDone || phase_ == Phase::kError) return;
  if (phase_ == Phase::kBody && state_ == State::kUntilClose) {
    phase_ = Phase::kDone;
  } else if (phase_ == Phase::kIdle) {
    fail(ErrorCode::kIo, "the server closed the connection without an answer");
  } else {
    fail(ErrorCode::kIo, "the server closed the connection in the middle of its answer");
  }
}

void ResponseParser::fail(ErrorCode code, std::string message) {
  phase_ = Phase::kError;
  error_ = Error{code, std::move(message), {}, 0.0};
}

}  // namespace weir::http
