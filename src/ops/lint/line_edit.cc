#include "ops/lint/line_edit.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir::ops {
namespace {

constexpr size_t kContext = 3;

bool boundary(char c) { return std::string_view(" \t\r\"'[],=\\").find(c) != std::string::npos; }

std::string_view indentation(std::string_view line) {
  return line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
}

void strip_end(std::string& line) {
  while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r'))
    line.pop_back();
}

}  // namespace

LineEdit::LineEdit(std::string_view text) {
  ends_with_newline_ = text.ends_with('\n');
  while (!text.empty()) {
    const std::string line(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    lines_.push_back({line, {line}});
  }
}

std::string* LineEdit::current(int line) {
  if (line < 1 || static_cast<size_t>(line) > lines_.size()) return nullptr;
  Line& l = lines_[static_cast<size_t>(line) - 1];
  return l.after.empty() ? nullptr : &l.after[0];
}

size_t LineEdit::find(const std::string& in, std::string_view word) const {
  for (size_t at = in.find(word); at != std::string::npos; at = in.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || boundary(in[at - 1])) && (end == in.size() || boundary(in[end]))) return at;
  }
  return std::string::npos;
}

bool LineEdit::replace(int line, std::string_view word, std::string_view by) {
  std::string* text = current(line);
  const size_t at = text == nullptr ? std::string::npos : find(*text, word);
  if (at == std::string::npos) return false;
  text->replace(at, word.size(), by);
  return true;
}

bool LineEdit::remove(int line, std::string_view word) {
  std::string* text = current(line);
  const size_t at = text == nullptr ? std::string::npos : find(*text, word);
  if (at == std::string::npos) return false;
  size_t from = at;
  size_t to = at + word.size();
  const auto quote = [&](size_t i) { return (*text)[i] == '"' || (*text)[i] == '\''; };
  if (from > 0 && to < text->size() && quote(from - 1) && (*text)[to] == (*text)[from - 1]) {
    --from;
    ++to;
  }
  if (to < text->size() && (*text)[to] == ',') {
    ++to;
    while (to < text->size() && (*text)[to] == ' ') ++to;
  } else if (from > 1 && (*text)[from - 1] == ' ') {
    // One blank of the two, and of a list's last item the comma in front.
    --from;
    if ((*text)[from - 1] == ',') --from;
  }
  text->erase(from, to - from);
  drop_if_empty(line);
  return true;
}

void LineEdit::drop_if_empty(int line) {
  Line& l = lines_[static_cast<size_t>(line) - 1];
  if (l.after[0].find_first_not_of(" \t\r\\-\"'") != std::string::npos) return;
  const bool goes_on = l.after[0].find('\\') != std::string::npos;
  l.after.erase(l.after.begin());
  if (goes_on) return;
  // It was the command's last line: the one before must not go on.
  for (int i = line - 1; i >= 1; --i) {
    std::string* before = current(i);
    if (before == nullptr) continue;
    strip_end(*before);
    if (before->ends_with('\\')) {
      before->pop_back();
      strip_end(*before);
    }
    return;
  }
}

bool LineEdit::append(int line, std::string_view word, std::string_view text) {
  std::string* in = current(line);
  const size_t at = in == nullptr ? std::string::npos : in->rfind(word);
  if (at == std::string::npos) return false;
  size_t end = at + word.size();
  if (end < in->size() && ((*in)[end] == '"' || (*in)[end] == '\'')) ++end;
  in->insert(end, text);
  return true;
}

void LineEdit::insert_after(int line, std::string text) {
  if (line < 1 || static_cast<size_t>(line) > lines_.size()) return;
  Line& l = lines_[static_cast<size_t>(line) - 1];
  l.after.push_back(std::string(indentation(l.before)) + std::move(text));
}

bool LineEdit::is_list_item(int line) const {
  if (line < 1 || static_cast<size_t>(line) > lines_.size()) return false;
  const std::string& text = lines_[static_cast<size_t>(line) - 1].before;
  return std::string_view(text).substr(indentation(text).size()).starts_with("- ");
}

bool LineEdit::changed() const {
  return std::any_of(lines_.begin(), lines_.end(),
                     [](const Line& l) { return l.after.size() != 1 || l.after[0] != l.before; });
}

std::string LineEdit::text() const {
  std::string out;
  for (const Line& l : lines_) {
    for (const std::string& line : l.after) out += line + "\n";
  }
  const bool last_stays = !lines_.empty() && !lines_.back().after.empty();
  if (!ends_with_newline_ && last_stays) out.pop_back();
  return out;
}

std::string LineEdit::diff(std::string_view name) const {
  if (!changed()) return "";
  std::string out = fmt::format("--- {}\n+++ {}\n", name, name);
  const auto same = [&](size_t i) {
    return lines_[i].after.size() == 1 && lines_[i].after[0] == lines_[i].before;
  };
  size_t new_line = 1;  // of the line that is looked at
  for (size_t i = 0; i < lines_.size();) {
    size_t next = i;
    while (next < lines_.size() && same(next)) ++next;
    if (next == lines_.size()) break;
    const size_t from = std::max(i, next < kContext ? 0 : next - kContext);
    // The hunk goes on while the next change is near.
    size_t last = next;
    for (size_t k = next; k < lines_.size() && k <= last + 2 * kContext; ++k) {
      if (!same(k)) last = k;
    }
    const size_t to = std::min(lines_.size(), last + kContext + 1);
    new_line += from - i;
    std::string body;
    size_t added = 0;
    for (size_t k = from; k < to; ++k) {
      // What patch must hear of a file whose last line has no end.
      const char* const end =
          k + 1 == lines_.size() && !ends_with_newline_ ? "\n\\ No newline at end of file\n" : "\n";
      if (same(k)) {
        body += " " + lines_[k].before + end;
      } else {
        body += "-" + lines_[k].before + end;
        for (const std::string& line : lines_[k].after)
          body += "+" + line + (&line == &lines_[k].after.back() ? end : "\n");
      }
      added += lines_[k].after.size();
    }
    out += fmt::format("@@ -{},{} +{},{} @@\n{}", from + 1, to - from, new_line, added, body);
    new_line += added;
    i = to;
  }
  return out;
}

}  // namespace weir::ops
