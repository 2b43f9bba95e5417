#include "ops/skill/page.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "text/utf8.h"

namespace weir::ops {
namespace {

std::string_view trim_left(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  return s;
}

std::string_view trim(std::string_view s) {
  s = trim_left(s);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r'))
    s.remove_suffix(1);
  return s;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The characters of a fence that begins the line, or 0.
size_t fence_length(std::string_view line, char& kind) {
  if (line.empty() || (line[0] != '`' && line[0] != '~')) return 0;
  kind = line[0];
  const size_t n = std::min(line.find_first_not_of(kind), line.size());
  return n >= 3 ? n : 0;
}

// What stands behind a bullet or an ordinal, and which; nullopt when it is no item.
std::optional<std::pair<PageText::Kind, std::string_view>> item(std::string_view line) {
  if (line.size() >= 2 && (line[0] == '-' || line[0] == '*' || line[0] == '+') && line[1] == ' ')
    return std::pair{PageText::Kind::kItem, trim_left(line.substr(2))};
  size_t n = 0;
  while (n < line.size() && n < 3 && is_digit(line[n])) ++n;
  if (n == 0 || n + 1 >= line.size() || (line[n] != '.' && line[n] != ')') || line[n + 1] != ' ')
    return std::nullopt;
  return std::pair{PageText::Kind::kNumbered, trim_left(line.substr(n + 2))};
}

// The line between a table's head and its rows.
bool is_rule(std::string_view row) {
  return row.find('-') != std::string_view::npos &&
         row.find_first_not_of("|-: \t") == std::string_view::npos;
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view name, const PageLimits& limits)
      : rest_(text), limits_(limits) {
    page_.name = name;
    page_.sections.emplace_back();
  }

  Result<Page> read() {
    if (rest_.size() > limits_.max_bytes)
      return make_error(ErrorCode::kLimit, "{}:1: {} bytes; a page may have {}: split it",
                        page_.name, rest_.size(), limits_.max_bytes);
    if (!text::is_valid_utf8(rest_))
      return make_error(ErrorCode::kCorrupt, "{}:1: not UTF-8; save it as UTF-8", page_.name);
    WEIR_TRY(front_matter());
    std::string_view line;
    while (next(line)) {
      WEIR_TRY(take(line));
      if (page_.sections.size() + page_.texts.size() + page_.blocks.size() > limits_.max_parts)
        return make_error(ErrorCode::kLimit, "{}:{}: more than {} parts; split the page",
                          page_.name, page_.lines, limits_.max_parts);
    }
    return std::move(page_);
  }

 private:
  bool next(std::string_view& line) {
    if (rest_.empty()) return false;
    const size_t end = std::min(rest_.find('\n'), rest_.size());
    line = rest_.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    ++page_.lines;
    return true;
  }

  Status front_matter() {
    if (!rest_.starts_with("---\n") && !rest_.starts_with("---\r\n")) return {};
    std::string_view line;
    next(line);
    while (next(line)) {
      if (line == "---") return {};
      page_.front_matter += line;
      page_.front_matter += '\n';
    }
    return make_error(ErrorCode::kCorrupt, "{}:1: the front matter is not closed; end it with ---",
                      page_.name);
  }

  Status take(std::string_view raw) {
    const std::string_view line = trim(raw);
    char kind = 0;
    if (const size_t n = fence_length(line, kind); n > 0) {
      open_ = false;
      return block(line, kind, n, raw.size() - trim_left(raw).size());
    }
    if (line.empty()) {
      open_ = false;
    } else if (line[0] == '#' && line.find_first_not_of('#') < line.size() &&
               line[line.find_first_not_of('#')] == ' ') {
      heading(line);
    } else if (line[0] == '|') {
      open_ = false;
      if (!is_rule(line)) add(PageText::Kind::kRow, line);
    } else if (const auto found = item(line)) {
      add(found->first, found->second);
      open_ = true;
    } else if (open_) {
      page_.texts.back().text += ' ';
      page_.texts.back().text += line;
    } else {
      add(PageText::Kind::kParagraph, line);
      open_ = true;
    }
    return {};
  }

  void add(PageText::Kind kind, std::string_view text) {
    page_.texts.push_back({kind, page_.lines, page_.sections.size() - 1, std::string(text)});
  }

  void heading(std::string_view line) {
    open_ = false;
    const size_t level = line.find_first_not_of('#');
    const std::string_view title = trim(line.substr(level));
    if (level == 1 && page_.title.empty()) {
      page_.title = title;
      page_.title_line = page_.lines;
    } else if (level == 2) {
      page_.sections.push_back({std::string(title), page_.lines});
    } else {
      add(PageText::Kind::kHeading, title);
    }
  }

  Status block(std::string_view fence, char kind, size_t length, size_t indent) {
    PageBlock out;
    out.line = page_.lines;
    out.section = page_.sections.size() - 1;
    WEIR_TRY(info(trim(fence.substr(length)), out));
    std::string_view line;
    while (next(line)) {
      char end = 0;
      const std::string_view bare = trim(line);
      if (fence_length(bare, end) >= length && end == kind &&
          bare.find_first_not_of(kind) == std::string_view::npos) {
        page_.blocks.push_back(std::move(out));
        return {};
      }
      const size_t spaces = line.size() - trim_left(line).size();
      out.text += line.substr(std::min(spaces, indent));
      out.text += '\n';
    }
    return make_error(ErrorCode::kCorrupt, "{}:{}: the block is not closed; end it with {}",
                      page_.name, out.line, std::string(length, kind));
  }

  Status info(std::string_view info, PageBlock& out) const {
    const size_t end = std::min(info.find_first_of(" \t"), info.size());
    out.language = info.substr(0, end);
    info = trim(info.substr(end));
    while (!info.empty()) {
      const size_t stop = std::min(info.find_first_of(" \t="), info.size());
      std::string name(info.substr(0, stop));
      std::string value;
      info.remove_prefix(stop);
      if (!info.empty() && info[0] == '=') {
        info.remove_prefix(1);
        const bool quoted = !info.empty() && info[0] == '"';
        if (quoted) info.remove_prefix(1);
        const size_t last = info.find_first_of(quoted ? "\"" : " \t");
        if (quoted && last == std::string_view::npos)
          return make_error(ErrorCode::kCorrupt, "{}:{}: {}=\" has no closing quote", page_.name,
                            out.line, name);
        value = info.substr(0, last);
        info.remove_prefix(std::min(info.size(), value.size() + (quoted ? 1 : 0)));
      }
      out.words.emplace_back(std::move(name), std::move(value));
      info = trim(info);
    }
    return {};
  }

  std::string_view rest_;
  const PageLimits& limits_;
  Page page_;
  bool open_ = false;  // the last text may go on in the next line
};

}  // namespace

const std::string* PageBlock::word(std::string_view name) const {
  const auto it =
      std::find_if(words.begin(), words.end(), [&](const auto& w) { return w.first == name; });
  return it == words.end() ? nullptr : &it->second;
}

Result<Page> read_page(std::string_view text, std::string_view name, const PageLimits& limits) {
  return Reader(text, name, limits).read();
}

}  // namespace weir::ops
