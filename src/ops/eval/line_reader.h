// A file of items, a line at a time; errors name file and line. Internal to ops/.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "text/json.h"

namespace weir::ops {

class LineReader {
 public:
  // Borrows text.
  LineReader(std::string_view text, std::string_view name) : text_(text), name_(name) {}

  bool at_end() const { return text_.empty(); }
  int number() const { return line_; }  // of the last line read, from 1
  const std::string& name() const { return name_; }

  // Without its end, LF or CRLF.
  std::string_view next() {
    ++line_;
    const size_t end = std::min(text_.find('\n'), text_.size());
    std::string_view found = text_.substr(0, end);
    text_.remove_prefix(std::min(end + 1, text_.size()));
    if (found.ends_with('\r')) found.remove_suffix(1);
    return found;
  }

  // The next line that is not blank, an object; unset at the end.
  Result<std::optional<text::Json>> next_json() {
    while (!text_.empty()) {
      const std::string_view source = next();
      if (source.find_first_not_of(" \t") == std::string_view::npos) continue;
      Result<text::Json> parsed = text::Json::parse(source, {.max_values = 100'000});
      if (!parsed.ok()) return wrong(parsed.error().message);
      if (!parsed->is_object()) return wrong("an item must be a JSON object");
      return std::optional<text::Json>(std::move(*parsed));
    }
    return std::optional<text::Json>();
  }

  Error wrong(std::string_view what) const { return wrong(line_, what); }
  Error wrong(int line, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, line, what);
  }

 private:
  std::string_view text_;
  std::string name_;
  int line_ = 0;
};

}  // namespace weir::ops
