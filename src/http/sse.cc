#include "http/sse.h"

namespace weir::http {

void append_sse_data(std::string& out, std::string_view data) {
  // CR, LF and CRLF each end a line of the event stream format.
  size_t begin = 0;
  while (true) {
    const size_t end = data.find_first_of("\r\n", begin);
    out += "data: ";
    out += data.substr(begin, end == std::string_view::npos ? end : end - begin);
    out += '\n';
    if (end == std::string_view::npos) break;
    begin = end + (data.substr(end, 2) == "\r\n" ? 2 : 1);
  }
  out += '\n';
}

void append_sse_event(std::string& out, std::string_view name, std::string_view data) {
  out += "event: ";
  out += name;
  out += '\n';
  append_sse_data(out, data);
}

std::string sse_data(std::string_view data) {
  std::string out;
  out.reserve(data.size() + 8);
  append_sse_data(out, data);
  return out;
}

}  // namespace weir::http
