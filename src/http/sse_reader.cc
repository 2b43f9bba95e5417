#include "http/sse_reader.h"

namespace weir::http {

Status SseReader::feed(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() + data_.size() > event_bytes_) {
      return make_error(ErrorCode::kLimit, "a server-sent event is larger than {} bytes",
                        event_bytes_);
    }
    if (end == std::string_view::npos) {
      line_ += part;
      break;
    }
    after_cr_ = bytes[end] == '\r';
    if (line_.empty()) {
      on_line(part, sink);
    } else {
      line_ += part;
      on_line(line_, sink);
      line_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
  return {};
}

void SseReader::on_line(std::string_view line, const Sink& sink) {
  if (first_line_ && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  first_line_ = false;
  if (line.empty()) {
    if (has_data_) sink({name_, std::string_view(data_).substr(0, data_.size() - 1), id_});
    has_data_ = false;
    name_.clear();
    data_.clear();
    return;
  }
  const size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value;
  if (colon != std::string_view::npos) value = line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    data_ += value;
    data_ += '\n';
    has_data_ = true;
  } else if (field == "event") {
    name_ = value;
  } else if (field == "id" && value.find('\0') == std::string_view::npos) {
    id_ = value;
  }
}

}  // namespace weir::http
